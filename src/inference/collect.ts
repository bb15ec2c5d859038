import type { AssistantError } from "../core/errors.ts";
import type { AnswerSink, InferenceCall } from "../core/inference.ts";
import { CallerGone } from "../core/upstream.ts";
import type { InferenceCore } from "./core.ts";

export interface CollectedAnswer {
  /** Name of the model that gave it. */
  readonly model: string;
  readonly body: Buffer;
  /** Of its head: name, value, … */
  readonly headers: readonly string[];
}

/** The whole answer to a call, for code in this process. Rejects with why there is none, or with `CallerGone`. */
export async function answerOf(core: Pick<InferenceCore, "run">, call: InferenceCall): Promise<CollectedAnswer> {
  const sink = new CollectingSink();
  await core.run(call, sink);
  return { body: await sink.body, model: sink.model, headers: sink.headers };
}

/** Keeps an answer in memory. */
class CollectingSink implements AnswerSink {
  readonly takesFramed = false;
  readonly body: Promise<Buffer>;
  readonly #parts: Buffer[] = [];
  readonly #resolve: (body: Buffer) => void;
  readonly #reject: (error: Error) => void;
  #status: number | null = null;
  #model = "";
  #headers: readonly string[] = [];

  constructor() {
    const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
    this.body = promise;
    this.#resolve = resolve;
    this.#reject = reject;
    // Who waits for it does so after the call has ended.
    promise.catch(() => {});
  }

  get status(): number | null {
    return this.#status;
  }

  get model(): string {
    return this.#model;
  }

  get headers(): readonly string[] {
    return this.#headers;
  }

  head(status: number, headers: readonly string[]): void {
    this.#status ??= status;
    this.#headers = headers;
    const name = headers[headers.indexOf("x-assistant-model") + 1];
    if (headers.includes("x-assistant-model") && name !== undefined) this.#model = decodeURIComponent(name);
  }
  chunk(payload: Buffer): boolean {
    this.#parts.push(payload);
    return true;
  }
  framed(): boolean {
    throw new TypeError("a sink that takes no frames was given one");
  }
  onDrain(callback: () => void): void {
    setImmediate(callback);
  }
  end(last?: Buffer): void {
    this.#resolve(Buffer.concat(last === undefined ? this.#parts : [...this.#parts, last]));
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
