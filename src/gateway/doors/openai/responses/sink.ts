import type { AssistantError } from "../../../../core/errors.ts";
import type { AnswerSink, JsonObject } from "../../../../core/inference.ts";
import { KeptSink, type KeptSinkOptions } from "../../../front/kept-sink.ts";
import { translatedSink } from "../../../front/translated-sink.ts";
import type { ResponseAnswer } from "./answer.ts";

const EVENT_STREAM = "text/event-stream";

export const eventText = (event: JsonObject): string =>
  `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`;

export interface ResponseSinkOptions extends KeptSinkOptions {
  readonly answer: ResponseAnswer;
  /** The client has the response already: whatever comes of it is kept. */
  readonly isAccepted: boolean;
  /** Events that were not taken yet, as they are written. */
  readonly taken: () => string;
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

/** Writes the events of a response's life besides those of its answer. */
class KeepingSink extends KeptSink {
  readonly #options: ResponseSinkOptions;
  #begun = false;

  constructor(client: AnswerSink, options: ResponseSinkOptions) {
    super(client, options);
    this.#options = options;
  }

  override head(status: number, headers: readonly string[], length?: number): void {
    if (length === undefined) super.head(status, headers);
    else super.head(status, headers, length);
    const { answer, taken, isAccepted, streamed } = this.#options;
    // Another target may have begun before, and failed.
    if (!streamed || this.#begun) return;
    this.#begun = true;
    const model = headers[headers.indexOf("x-assistant-model") + 1];
    if (!isAccepted) answer.created();
    answer.begin(headers.includes("x-assistant-model") && model !== undefined ? decodeURIComponent(model) : null);
    this.client.chunk(Buffer.from(taken()));
  }
  override fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    const { answer, streamed, taken, isAccepted } = this.#options;
    // Without a head there is no response, but a request that was refused.
    if (!isAccepted && (!streamed || this.client.status === null)) {
      super.fail(error, headers, betweenEvents);
      return;
    }
    if (!this.#begun && !isAccepted) answer.created();
    answer.fail(error);
    void this.kept(() => this.client.end(Buffer.from(taken())));
  }
  override abort(): void {
    const { answer, keep, isAccepted } = this.#options;
    super.abort();
    if (!this.#begun && !isAccepted) return;
    answer.cancel();
    void keep().catch(() => {});
  }
}
