import { type AssistantError, toAssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";

export interface KeptSinkOptions {
  readonly streamed: boolean;
  /** Called when the answer has ended, before the client sees its end. A rejection fails the answer. */
  readonly keep: () => Promise<void>;
}

/** A client's sink that sends the end of an answer, or all of an answer in one piece, only after it is stored. */
export class KeptSink implements AnswerSink {
  readonly takesFramed = false;
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  protected readonly client: AnswerSink;
  readonly #options: KeptSinkOptions;
  #head: Parameters<AnswerSink["head"]> | null = null;

  constructor(client: AnswerSink, options: KeptSinkOptions) {
    this.client = client;
    this.#options = options;
    const { waiting } = client;
    if (waiting !== undefined && options.streamed)
      this.waiting = (wait, headers) => waiting.call(client, wait, headers);
  }

  get status(): number | null {
    return this.client.status;
  }
  head(...head: Parameters<AnswerSink["head"]>): void {
    if (this.#options.streamed) this.client.head(head[0], head[1]);
    else this.#head = head;
  }
  chunk(payload: Buffer): boolean {
    return this.client.chunk(payload);
  }
  framed(): boolean {
    throw new TypeError("this sink does not accept frames");
  }
  endFramed(): void {
    this.framed();
  }
  onDrain(callback: () => void): void {
    this.client.onDrain(callback);
  }
  end(last?: Buffer): void {
    void this.kept(() => {
      if (this.#head !== null) this.client.head(...this.#head);
      this.client.end(last);
    });
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    this.client.fail(error, headers, betweenEvents);
  }
  abort(): void {
    this.client.abort();
  }

  protected async kept(then: () => void): Promise<void> {
    try {
      await this.#options.keep();
      then();
    } catch (error) {
      this.client.fail(toAssistantError(error), [], true);
    }
  }
}
