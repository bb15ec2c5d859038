const FIRST_RETRY_MS = 50;
const MAX_RETRY_MS = 5_000;
/** A connection that breaks sooner counts as a failed attempt. */
const STEADY_MS = 10_000;

/**
 * How long to wait before each attempt to reconnect: doubling, with jitter, up to 5 s. The library counts from 1 again
 * after each handshake, so a server that breaks right after it would be reconnected to without a pause.
 */
export function reconnecting(now: () => number = () => performance.now()): (attempt: number) => number {
  let triedAt = Number.NEGATIVE_INFINITY;
  let brief = 0;
  return (attempt) => {
    if (attempt === 1) brief = now() - triedAt < STEADY_MS ? brief + 1 : 0;
    const waitMs =
      Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(attempt + brief, 10)) * (1 + Math.random() / 4);
    triedAt = now() + waitMs;
    return waitMs;
  };
}
