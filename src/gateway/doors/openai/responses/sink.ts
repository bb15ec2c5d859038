import type { AssistantError } from "../../../../core/errors.ts";
import type { AnswerSink, JsonObject } from "../../../../core/inference.ts";
import { KeptSink, type KeptSinkOptions } from "../../../front/kept-sink.ts";
import { translatedSink } from "../../../front/translated-sink.ts";
import type { ResponseAnswer } from "./answer.ts";

const EVENT_STREAM = "text/event-stream";

export const eventText = (event: JsonObject): string =>
  `event: ${String(event["type"])}\ndata: ${JSON.stringify(event)}\n\n`;

/** The model named by an answer's head; null: none. `headers`: name, value, … */
export function modelIn(headers: readonly string[]): string | null {
  const at = headers.indexOf("x-assistant-model");
  return at < 0 ? null : decodeURIComponent(headers[at + 1] ?? "");
}

export interface ResponseSinkOptions extends KeptSinkOptions {
  readonly answer: ResponseAnswer;
  /** Events that were not sent yet, as they are written. */
  readonly taken: () => string;
}

/** A sink for an answer in OpenAI's chat format, which the client receives in that of the Responses API. */
export function responseSink(client: AnswerSink, options: ResponseSinkOptions): AnswerSink {
  const { answer, streamed, taken } = options;
  return translatedSink(new KeepingSink(client, options), streamed, {
    streamType: EVENT_STREAM,
    chunk(chunk) {
      answer.chunk(chunk);
      return taken();
    },
    likewise: (chunk) => answer.likewise(chunk),
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

/** Writes the events of a response's life cycle, apart from those of its answer. */
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
    const { answer, taken, streamed } = this.#options;
    // Another target may have started before, and failed.
    if (!streamed || this.#begun) return;
    this.#begun = true;
    answer.created();
    answer.begin(modelIn(headers));
    this.client.chunk(Buffer.from(taken()));
  }
  override fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    const { answer, streamed, taken } = this.#options;
    // Without a head there is no response, but a refused request.
    if (!streamed || this.client.status === null) {
      super.fail(error, headers, betweenEvents);
      return;
    }
    if (!this.#begun) answer.created();
    answer.fail(error);
    void this.kept(() => this.client.end(Buffer.from(taken())));
  }
  override abort(): void {
    const { answer, keep } = this.#options;
    super.abort();
    if (!this.#begun) return;
    answer.cancel();
    void keep().catch(() => {});
  }
}
