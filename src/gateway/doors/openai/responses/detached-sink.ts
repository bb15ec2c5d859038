import type { Cancellation } from "../../../../core/cancellation.ts";
import type { AssistantError } from "../../../../core/errors.ts";
import type { AnswerSink } from "../../../../core/inference.ts";
import { SSE_HEADERS } from "../../../../upstreams/answer/receivers.ts";

const OK = 200;

/** A client that may disconnect before its answer is complete, which goes on without it. */
export class DetachedSink implements AnswerSink {
  readonly takesFramed = false;
  readonly status = OK;
  #client: AnswerSink | null;

  /** `gone`: cancelled when the client disconnects. */
  constructor(client: AnswerSink, gone: Cancellation) {
    this.#client = gone.cancelled ? null : client;
    gone.onCancel = () => {
      this.#client = null;
    };
  }

  /** Begins the client's stream. */
  open(events: string): void {
    this.#client?.head(OK, ["Content-Type", "text/event-stream", ...SSE_HEADERS]);
    this.chunk(Buffer.from(events));
  }
  /** Answers the client with what there is, and is done with it. */
  answer(value: object): void {
    const body = Buffer.from(JSON.stringify(value));
    this.#client?.head(OK, ["Content-Type", "application/json"], body.length);
    this.end(body);
    this.#client = null;
  }
  head(): void {}
  /** Never asks for a break: what a client that reads slowly has not taken is bounded by the length of an answer. */
  chunk(payload: Buffer): boolean {
    this.#client?.chunk(payload);
    return true;
  }
  framed(): boolean {
    throw new TypeError("a sink that takes no frames was given one");
  }
  endFramed(): void {
    this.framed();
  }
  onDrain(callback: () => void): void {
    setImmediate(callback);
  }
  end(last?: Buffer): void {
    this.#client?.end(last);
  }
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    this.#client?.fail(error, headers, betweenEvents);
  }
  abort(): void {
    // What was cancelled ends the stream as well.
    this.#client?.end();
  }
}
