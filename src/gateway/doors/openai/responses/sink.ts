import type { AssistantError } from "../../../../core/errors.ts";
import { toAssistantError } from "../../../../core/errors.ts";
import type { AnswerSink, JsonObject } from "../../../../core/inference.ts";
import { translatedSink } from "../../../front/translated-sink.ts";
import type { ResponseAnswer } from "./answer.ts";

const EVENT_STREAM = "text/event-stream";

export const eventText = (event: JsonObject): string =>
  `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`;

export interface ResponseSinkOptions {
  readonly answer: ResponseAnswer;
  readonly streamed: boolean;
  /** The client has the response already: whatever comes of it is kept. */
  readonly isAccepted: boolean;
  /** Events that were not taken yet, as they are written. */
  readonly taken: () => string;
  /** Called when the answer has ended, before the client sees its end. */
  readonly keep: () => Promise<void>;
}

/** A sink for an answer in OpenAI's chat format, which the client gets as one of the Responses API. */
export function responseSink(client: AnswerSink, options: ResponseSinkOptions): AnswerSink {
  const { answer, streamed, taken } = options;
  return translatedSink(new KeepingSink(client, options), streamed, {
    streamType: EVENT_STREAM,
    chunk(chunk) {
      answer.chunk(chunk);
      return taken();
    },
    end() {
      answer.finish();
      return taken();
    },
    whole(whole) {
      answer.begin(typeof whole["model"] === "string" ? whole["model"] : null);
      answer.whole(whole);
      answer.finish();
      return answer.response;
    },
  });
}

/** The client's own sink, which gets the end of an answer when the answer is kept. */
class KeepingSink implements AnswerSink {
  readonly #client: AnswerSink;
  readonly #options: ResponseSinkOptions;
  readonly takesFramed = false;
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  #begun = false;
  #head: Parameters<AnswerSink["head"]> | null = null;

  constructor(client: AnswerSink, options: ResponseSinkOptions) {
    this.#client = client;
    this.#options = options;
    const { waiting } = client;
    if (waiting !== undefined && options.streamed)
      this.waiting = (wait, headers) => waiting.call(client, wait, headers);
  }

  get status(): number | null {
    return this.#client.status;
  }
  head(status: number, headers: readonly string[], length?: number): void {
    if (!this.#options.streamed) {
      this.#head = length === undefined ? [status, headers] : [status, headers, length];
      return;
    }
    this.#client.head(status, headers);
    // Another target may have begun before, and failed.
    if (this.#begun) return;
    this.#begun = true;
    const { answer, taken, isAccepted } = this.#options;
    const model = headers[headers.indexOf("x-assistant-model") + 1];
    if (!isAccepted) answer.created();
    answer.begin(headers.includes("x-assistant-model") && model !== undefined ? decodeURIComponent(model) : null);
    this.#client.chunk(Buffer.from(taken()));
  }
  chunk(payload: Buffer): boolean {
    return this.#client.chunk(payload);
  }
  framed(): boolean {
    throw new TypeError("a sink that takes no frames was given one");
  }
  endFramed(): void {
    this.framed();
  }
  onDrain(callback: () => void): void {
    this.#client.onDrain(callback);
  }
  end(last?: Buffer): void {
    void this.#kept(() => {
      if (this.#head !== null) this.#client.head(...this.#head);
      this.#client.end(last);
    });
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    const { answer, streamed, taken, isAccepted } = this.#options;
    // Without a head there is no response, but a request that was refused.
    if (!isAccepted && (!streamed || this.#client.status === null)) {
      this.#client.fail(error, headers, betweenEvents);
      return;
    }
    if (!this.#begun && !isAccepted) answer.created();
    answer.fail(error);
    void this.#kept(() => this.#client.end(Buffer.from(taken())));
  }
  abort(): void {
    const { answer, keep, isAccepted } = this.#options;
    this.#client.abort();
    if (!this.#begun && !isAccepted) return;
    answer.cancel();
    void keep().catch(() => {});
  }

  async #kept(then: () => void): Promise<void> {
    try {
      await this.#options.keep();
      then();
    } catch (error) {
      this.#client.fail(toAssistantError(error), [], true);
    }
  }
}
