import { createParser } from "eventsource-parser";
import type { AssistantError } from "../core/errors.ts";
import type { AnswerSink, JsonObject } from "../core/inference.ts";
import { CallerGone } from "../core/upstream.ts";

/** A reader in this process of a streamed answer in OpenAI's format. */
export interface EventReader {
  /** False: no more until `onDrain` has been called. */
  event(event: JsonObject): boolean;
  onDrain(callback: () => void): void;
}

/** The sink of a streamed answer whose events go to code in this process. */
export class EventSink implements AnswerSink {
  readonly takesFramed = false;
  /**
   * Resolves at the end of the answer; rejects with the reason if there is none or no more of it, or with `CallerGone`.
   */
  readonly ended: Promise<void>;
  readonly #reader: EventReader;
  readonly #resolve: () => void;
  readonly #reject: (error: Error) => void;
  readonly #decoder = new TextDecoder();
  readonly #parser = createParser({
    onEvent: ({ data }) => {
      if (data !== "[DONE]" && !this.#reader.event(JSON.parse(data) as JsonObject)) this.#isFull = true;
    },
  });
  #status: number | null = null;
  #isFull = false;

  constructor(reader: EventReader) {
    this.#reader = reader;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.ended = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    // Its readers only start waiting after the call has ended.
    promise.catch(() => {});
  }

  get status(): number | null {
    return this.#status;
  }
  head(status: number): void {
    this.#status ??= status;
  }
  chunk(payload: Buffer): boolean {
    this.#isFull = false;
    this.#parser.feed(this.#decoder.decode(payload, { stream: true }));
    return !this.#isFull;
  }
  framed(): boolean {
    throw new TypeError("this sink does not accept frames");
  }
  onDrain(callback: () => void): void {
    this.#reader.onDrain(callback);
  }
  end(last?: Buffer): void {
    if (last !== undefined) this.chunk(last);
    this.#resolve();
  }
  endFramed(): void {
    this.framed();
  }
  fail(error: AssistantError): void {
    this.#status ??= error.status;
    this.#reject(error);
  }
  abort(): void {
    this.#reject(new CallerGone());
  }
}
