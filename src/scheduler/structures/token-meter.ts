const WINDOW_MS = 5_000;
const BUCKET_MS = 100;
/** One more than the window needs: the oldest is partly before it. */
const BUCKETS = WINDOW_MS / BUCKET_MS + 1;

/**
 * Tokens per second of the last five seconds. Engines report their counts at the end of an answer, so an answer's
 * tokens are spread evenly over its duration; the part before the window is ignored. Memory and time do not grow with
 * the number of answers.
 */
export class TokenMeter {
  readonly #tokens = new Float64Array(BUCKETS);
  /** Number of the newest bucket, counted from time 0; null before any measurement. */
  #newest: number | null = null;

  /** `tokens` were processed during the `tookMs` before `now`. */
  add(tokens: number, tookMs: number, now: number): void {
    this.#forget(now);
    const span = Math.max(1, tookMs);
    const from = Math.max(now - span, now - WINDOW_MS);
    for (let to = now; to > from; ) {
      const bucket = Math.ceil(to / BUCKET_MS) - 1;
      const start = Math.max(from, bucket * BUCKET_MS);
      this.#tokens[indexOf(bucket)] = (this.#tokens[indexOf(bucket)] ?? 0) + (tokens * (to - start)) / span;
      to = start;
    }
  }

  /** Null before any measurement. */
  perSecond(now: number): number | null {
    if (this.#newest === null) return null;
    this.#forget(now);
    let tokens = 0;
    for (const some of this.#tokens) tokens += some;
    const oldest = this.#newest - BUCKETS + 1;
    const outside = Math.min(1, Math.max(0, (now - WINDOW_MS) / BUCKET_MS - oldest));
    return (tokens - outside * (this.#tokens[indexOf(oldest)] ?? 0)) / (WINDOW_MS / 1000);
  }

  /** Empties the buckets that now represent a later time. */
  #forget(now: number): void {
    const newest = Math.ceil(now / BUCKET_MS) - 1;
    const last = this.#newest ?? newest;
    if (newest - last >= BUCKETS) this.#tokens.fill(0);
    else for (let bucket = last + 1; bucket <= newest; bucket++) this.#tokens[indexOf(bucket)] = 0;
    this.#newest = Math.max(last, newest);
  }
}

/** Buckets before time 0 have negative numbers. */
const indexOf = (bucket: number): number => ((bucket % BUCKETS) + BUCKETS) % BUCKETS;
