import type { AssistantError } from "../core/errors.ts";
import type { InferenceCall } from "../core/inference.ts";
import { CallerGone } from "../core/upstream.ts";
import type { InferenceCore } from "./core.ts";
import { GatheredSink } from "./gathered-sink.ts";

export interface CollectedAnswer {
  /** Name of the model that answered. */
  readonly model: string;
  readonly body: Buffer;
  /** Of its head: name, value, … */
  readonly headers: readonly string[];
}

/**
 * The complete answer to a call, for code in this process. Rejects with the reason if there is none, or with
 * `CallerGone`.
 */
export async function answerOf(core: Pick<InferenceCore, "run">, call: InferenceCall): Promise<CollectedAnswer> {
  const sink = new CollectingSink();
  await core.run(call, sink);
  return await sink.answer;
}

/** Keeps an answer in memory. */
class CollectingSink extends GatheredSink {
  readonly answer: Promise<CollectedAnswer>;
  readonly #settle: { resolve(answer: CollectedAnswer): void; reject(error: Error): void };
  #status: number | null = null;

  constructor() {
    super();
    const { promise, resolve, reject } = Promise.withResolvers<CollectedAnswer>();
    this.answer = promise;
    this.#settle = { resolve, reject };
    // Its readers only start waiting after the call has ended.
    promise.catch(() => {});
  }

  get status(): number | null {
    return this.#status;
  }
  override head(status: number, headers: readonly string[]): void {
    super.head(status, headers);
    this.#status ??= status;
  }
  fail(error: AssistantError): void {
    this.#status ??= error.status;
    this.#settle.reject(error);
  }
  abort(): void {
    this.#settle.reject(new CallerGone());
  }

  protected whole(body: Buffer): void {
    const { headers } = this;
    const at = headers.indexOf("x-assistant-model");
    const model = at < 0 ? "" : decodeURIComponent(headers[at + 1] ?? "");
    this.#settle.resolve({ body, model, headers });
  }
}
