import { Cancellation } from "../../../../core/cancellation.ts";
import type { Clock } from "../../../../core/clock.ts";
import { AssistantError, presentable } from "../../../../core/errors.ts";
import { CallerGone } from "../../../../core/upstream.ts";
import { backoffMs } from "../../../../tasks/attempts.ts";
import type { Identity } from "../../../front/authorize.ts";
import { type Answered, type Asking, ask } from "./ask.ts";
import { type BatchRequest, isWrong, requestOf } from "./input.ts";
import { linesOf } from "./lines.ts";
import type { BatchCounts } from "./record.ts";

/** Why a batch stops before its last line. */
export type Stop = "cancelled" | "expired" | "shutdown";

export interface LinesOptions extends Pick<Asking, "inference" | "route" | "deadlineAt"> {
  readonly endpoint: string;
  readonly maxLineBytes: number;
  /** Lines that have an answer. */
  readonly done: ReadonlySet<number>;
  /** Concurrent lines; may change. */
  readonly places: () => number;
  /** Starts a request of the batch's owner. Returns the caller, and a function to call at its end. Throws. */
  readonly admit: () => { readonly identity: Identity; readonly ended: (() => void) | null };
  readonly maxAttempts: number;
  /** Stores an answer. */
  readonly keep: (line: number, answered: Answered) => Promise<void>;
  readonly clock: Clock;
}

/** Gets the answers to a batch's lines, several at once, in the order of the file. */
export class Lines {
  readonly #options: LinesOptions;
  readonly #running = new Map<Promise<void>, Cancellation>();
  readonly #stopped = Promise.withResolvers<void>();
  #stop: Stop | null = null;
  #failure: unknown = null;
  counts: BatchCounts;

  constructor(options: LinesOptions, counts: BatchCounts) {
    this.#options = options;
    this.counts = counts;
  }

  get stop(): Stop | null {
    return this.#stop;
  }

  /** Starts no further lines. On `shutdown`, running ones may continue beyond it; otherwise they are cancelled. */
  end(stop: Stop): void {
    if (this.#stop !== null) return;
    this.#stop = stop;
    this.#stopped.resolve();
    if (stop !== "shutdown") this.cancelAll();
  }

  /** Cancels running requests whose answers are no longer needed. */
  cancelAll(): void {
    for (const cancellation of this.#running.values()) cancellation.cancel(new CallerGone());
  }

  /** Resolves when each line has an answer, or it was stopped. Rejects if an answer could not be stored. */
  async run(content: AsyncIterable<Uint8Array>): Promise<void> {
    const { endpoint, maxLineBytes, done, places } = this.#options;
    for await (const line of linesOf(content, maxLineBytes)) {
      if (done.has(line.number)) continue;
      while (this.#running.size >= places() && this.#isGoing) await Promise.race(this.#running.keys());
      if (!this.#isGoing) break;
      const request = requestOf(line, endpoint, maxLineBytes);
      // The whole input was validated before.
      if (!isWrong(request)) this.#begin(request);
    }
    await Promise.all(this.#running.keys());
    if (this.#failure !== null) throw this.#failure;
  }

  get #isGoing(): boolean {
    return this.#stop === null && this.#failure === null;
  }

  #begin(request: BatchRequest): void {
    const cancellation = new Cancellation();
    const ended = this.#line(request, cancellation)
      .catch((error: unknown) => {
        if (!(error instanceof CallerGone)) this.#failure ??= error;
      })
      .finally(() => this.#running.delete(ended));
    this.#running.set(ended, cancellation);
  }

  async #line(request: BatchRequest, cancellation: Cancellation): Promise<void> {
    const answered = await this.#answered(request, cancellation);
    if (answered === null) return;
    await this.#options.keep(request.line, answered);
    const { completed, failed, total } = this.counts;
    this.counts = {
      total,
      completed: completed + Number(!answered.isFailed),
      failed: failed + Number(answered.isFailed),
    };
  }

  /** Null: it was stopped before there was an answer. */
  async #answered(request: BatchRequest, cancellation: Cancellation): Promise<Answered | null> {
    const { admit, maxAttempts, inference, route, deadlineAt } = this.#options;
    for (let attempts = 1; this.#stop === null; ) {
      let admitted: ReturnType<typeof admit>;
      try {
        admitted = admit();
      } catch (thrown) {
        const error = presentable(thrown);
        if (error.code !== "rate_limit_exceeded") throw error;
        // The batch is limited by its key's rate.
        await this.#pause(backoffMs(1, Math.random(), error.retryAfterS));
        continue;
      }
      const { identity, ended } = admitted;
      const answered = await ask(request, { inference, route, identity, cancellation, deadlineAt }).finally(() =>
        ended?.(),
      );
      const { error } = answered;
      if (error === null) return answered;
      if (error.code === "shutting_down") return null;
      if (!error.retryable || attempts >= maxAttempts) return answered;
      await this.#pause(backoffMs(attempts++, Math.random(), error.retryAfterS));
    }
    return null;
  }

  async #pause(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _timer = this.#options.clock.after(ms, resolve);
    await Promise.race([promise, this.#stopped.promise]);
  }
}

export const stoppedByShutdown = (): AssistantError =>
  new AssistantError("shutting_down", "The daemon is shutting down; the batch continues when it is started again.");
