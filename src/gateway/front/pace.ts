/** The minimum pace of a client: a slower one occupies a connection, or an engine's slot, that others could use. */
export interface ClientPace {
  /** Milliseconds for the head of a request, from the start of the connection or the end of the previous response. */
  readonly headersMs: number;
  /** In each period of this many milliseconds, `MIN_BYTES` of a body must arrive, or its end. */
  readonly bodyMs: number;
  /** Milliseconds in which a client must accept written data before more is written. */
  readonly readMs: number;
}

export const CLIENT_PACE: ClientPace = { headersMs: 30_000, bodyMs: 30_000, readMs: 120_000 };

const MIN_BYTES = 16 * 1024;

/**
 * Calls `tooSlow` once fewer than `MIN_BYTES` have arrived within `windowMs`. Returns a function that stops watching.
 */
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
