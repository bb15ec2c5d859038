import type { AssistantError } from "../core/errors.ts";

/** Failures in a row after which requests are no longer sent. */
const MAX_FAILURES = 5;
const FIRST_BACKOFF_MS = 1_000;
const MAX_BACKOFF_MS = 60_000;

/** Failures of these codes are the provider's; what it says of one model, or that it is busy, is none. */
const ITS_OWN: ReadonlySet<string> = new Set([
  "provider_rejected_key",
  "provider_unavailable",
  "provider_timeout",
  "provider_error",
]);
const isItsOwn = ({ code, param }: AssistantError): boolean => ITS_OWN.has(code) && param !== "model";

/**
 * A circuit breaker: after failures in a row, or a failed check, the provider gets no requests until it was checked
 * again, after a delay that doubles each time.
 *
 *   closed --5 failures, or a failed check--> open --delay over--> checking --ok--> closed
 *                                              ^----------------- failed ---------|
 */
export class Health {
  #failures = 0;
  #opened = 0;
  #reason: AssistantError | null = null;

  /** Why it gets no requests; null while it does. */
  get reason(): AssistantError | null {
    return this.#opened > 0 ? this.#reason : null;
  }

  /** An answer has come. */
  succeeded(): void {
    this.#failures = 0;
    this.#opened = 0;
    this.#reason = null;
  }

  /** A request failed. Returns whether the breaker opened with it. */
  failed(error: AssistantError): boolean {
    if (!isItsOwn(error)) return false;
    this.#failures += 1;
    this.#reason = error;
    if (this.#opened > 0 || this.#failures < MAX_FAILURES) return false;
    this.#opened = 1;
    return true;
  }

  /** If it was open already, the next pause is longer. */
  lookFailed(error: AssistantError): void {
    if (!isItsOwn(error)) return;
    this.#reason = error;
    this.#opened += 1;
  }

  /** It may be tried again although a check is impossible: one more failure opens the breaker again. */
  halfOpen(): void {
    this.#failures = MAX_FAILURES - 1;
    this.#opened = 0;
  }

  /** Until the next look while it is open. */
  pauseMs(random: () => number): number {
    const backoff = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.max(0, this.#opened - 1));
    return backoff * (0.75 + random() / 2);
  }
}
