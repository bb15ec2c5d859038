/** What is left of the past with each sample: about the last ten count. */
const FADING = 0.9;
/** Prompts shorter than this show overhead more than speed. */
const MIN_TOKENS = 32;

/** Tokens that a target must have worked off for its measurements to weigh as much as what is usual. */
const DEFAULT_TOKENS = 4096;

/** Tokens and the time they took, both fading: their quotient weighs long prompts more than short ones, whose times are mostly overhead. */
export class Rate {
  #tokens = 0;
  #ms = 0;

  learn(tokens: number, ms: number): void {
    if (!(tokens >= MIN_TOKENS) || !(ms > 0)) return;
    this.#tokens = this.#tokens * FADING + tokens;
    this.#ms = this.#ms * FADING + ms;
  }

  /** Null before the first sample. */
  get perMs(): number | null {
    return this.#ms > 0 ? this.#tokens / this.#ms : null;
  }

  /**
   * Tokens per millisecond: measured, as far as enough was, else what is `usual`. Ten short prompts would else make one of
   * equals slow, and as nothing would then be sent there, slow for ever.
   */
  besides(usualPerMs: number): number {
    return (this.#tokens + DEFAULT_TOKENS) / (this.#ms + DEFAULT_TOKENS / usualPerMs);
  }

  /** Milliseconds for so many tokens; 0 before the first sample. */
  msFor(tokens: number): number {
    return this.#tokens > 0 ? (tokens * this.#ms) / this.#tokens : 0;
  }
}
