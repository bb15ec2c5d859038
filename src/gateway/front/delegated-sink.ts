import type { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";

/** Passes an answer on unchanged, and maps its failure with `failure`. */
export class DelegatedSink implements AnswerSink {
  readonly takesFramed = false;
  readonly #client: AnswerSink;
  readonly #failure: (error: AssistantError) => AssistantError;

  constructor(client: AnswerSink, failure: (error: AssistantError) => AssistantError = (error) => error) {
    this.#client = client;
    this.#failure = failure;
  }

  get status(): number | null {
    return this.#client.status;
  }
  head(status: number, headers: readonly string[], length?: number): void {
    this.#client.head(status, headers, length);
  }
  chunk(payload: Buffer): boolean {
    return this.#client.chunk(payload);
  }
  framed(): boolean {
    throw new TypeError("this sink does not accept frames");
  }
  onDrain(callback: () => void): void {
    this.#client.onDrain(callback);
  }
  end(last?: Buffer): void {
    this.#client.end(last);
  }
  endFramed(): void {
    this.framed();
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    this.#client.fail(this.#failure(error), headers, betweenEvents);
  }
  abort(): void {
    this.#client.abort();
  }
}
