const MINUTE_MS = 60_000;

/**
 * Tokens of one key within a minute. Use drains at the rate of the limit; running requests count as the key's recent
 * average until their actual number is known.
 */
export class TokenBucket {
  #used = 0;
  #reserved = 0;
  #drainedAt: number;

  constructor(now: number) {
    this.#drainedAt = now;
  }

  /** Tokens that may be used now; negative if more were used than allowed. */
  remaining(limit: number, now: number): number {
    this.#drain(limit, now);
    return limit - this.#used - this.#reserved;
  }

  /** Milliseconds until there is room for a request; it begins when there is any. */
  waitMs(limit: number, now: number): number {
    return Math.max(0, (1 - this.remaining(limit, now)) / (limit / MINUTE_MS));
  }

  /** Milliseconds until all of the limit may be used. */
  resetMs(limit: number, now: number): number {
    return Math.max(0, (limit - this.remaining(limit, now)) / (limit / MINUTE_MS));
  }

  reserve(tokens: number): void {
    this.#reserved += tokens;
  }

  release(tokens: number): void {
    this.#reserved -= tokens;
  }

  use(tokens: number): void {
    this.#used += tokens;
  }

  #drain(limit: number, now: number): void {
    this.#used = Math.max(0, this.#used - ((now - this.#drainedAt) * limit) / MINUTE_MS);
    this.#drainedAt = now;
  }
}
