const BUCKETS = 6;
const BUCKET_MS = 1000;
const WINDOW_MS = (BUCKETS - 1) * BUCKET_MS;

/**
 * Tokens per second of the last five seconds. Engines tell their counts at the end of an answer, so an answer's tokens
 * are spread evenly over the time it took; what lies before the window is left out.
 */
export class TokenMeter {
  readonly #tokens = new Float64Array(BUCKETS);
  /** The second (epoch ms ÷ 1000, whole) each bucket holds. */
  readonly #seconds = new Float64Array(BUCKETS);
  #seen = false;

  /** `tokens` were worked on during the `tookMs` before `now`. */
  add(tokens: number, tookMs: number, now: number): void {
    this.#seen = true;
    const span = Math.max(1, tookMs);
    const start = now - span;
    for (let age = 0; age < BUCKETS; age++) {
      const second = Math.floor(now / BUCKET_MS) - age;
      const from = Math.max(start, second * BUCKET_MS);
      const to = Math.min(now, (second + 1) * BUCKET_MS);
      if (to > from) this.#put(second, (tokens * (to - from)) / span);
    }
  }

  /** Null until anything was measured. */
  perSecond(now: number): number | null {
    if (!this.#seen) return null;
    const newest = Math.floor(now / BUCKET_MS);
    let sum = 0;
    for (let bucket = 0; bucket < BUCKETS; bucket++) {
      const age = newest - (this.#seconds[bucket] ?? 0);
      if (age >= 0 && age < BUCKETS) sum += this.#tokens[bucket] ?? 0;
    }
    return (sum * 1000) / (WINDOW_MS + (now - newest * BUCKET_MS));
  }

  #put(second: number, tokens: number): void {
    const bucket = second % BUCKETS;
    if (this.#seconds[bucket] !== second) {
      this.#seconds[bucket] = second;
      this.#tokens[bucket] = 0;
    }
    this.#tokens[bucket] = (this.#tokens[bucket] ?? 0) + tokens;
  }
}
