const WINDOW_MS = 5_000;

/**
 * Tokens per second of the last five seconds. Engines tell their counts at the end of an answer, so an answer's tokens
 * are spread evenly over the time it took; what lies before the window is left out.
 */
export class TokenMeter {
  readonly #answers: { readonly perMs: number; readonly from: number; readonly to: number }[] = [];
  #seen = false;

  /** `tokens` were worked on during the `tookMs` before `now`. */
  add(tokens: number, tookMs: number, now: number): void {
    const span = Math.max(1, tookMs);
    this.#seen = true;
    this.#answers.push({ perMs: tokens / span, from: now - span, to: now });
    while ((this.#answers[0]?.to ?? now) < now - WINDOW_MS) this.#answers.shift();
  }

  /** Null until anything was measured. */
  perSecond(now: number): number | null {
    if (!this.#seen) return null;
    let tokens = 0;
    for (const { perMs, from, to } of this.#answers)
      tokens += perMs * Math.max(0, to - Math.max(from, now - WINDOW_MS));
    return tokens / (WINDOW_MS / 1000);
  }
}
