/** What a client must keep up with: a slower one holds a connection, or a slot of an engine, that others could use. */
export interface ClientPace {
  /** Milliseconds for the head of a request, from the connection's beginning or the answer before. */
  readonly headersMs: number;
  /** Milliseconds in each of which `MIN_BYTES` of a body must come, or its end. */
  readonly bodyMs: number;
  /** Milliseconds in which a client must take what was written to it, before more is written. */
  readonly readMs: number;
}

export const CLIENT_PACE: ClientPace = { headersMs: 30_000, bodyMs: 30_000, readMs: 120_000 };

const MIN_BYTES = 16 * 1024;

/** Calls `tooSlow` once fewer than `MIN_BYTES` have come within `windowMs`. Returns what ends the watch. */
export function watchPace(received: () => number, windowMs: number, tooSlow: () => void): () => void {
  let before = received();
  const timer = setInterval(() => {
    const now = received();
    if (now - before >= MIN_BYTES) before = now;
    else {
      clearInterval(timer);
      tooSlow();
    }
  }, windowMs);
  return () => clearInterval(timer);
}
