import type { ModelSpec } from "../core/model.ts";

/** What is left of the past with each sample: about the last ten count. */
const FADING = 0.9;
/** Prompts shorter than this show overhead more than speed. */
const MIN_TOKENS = 32;
/** Tokens that a target must have worked off for its measurements to weigh as much as what is usual. */
const DEFAULT_TOKENS = 4096;
/** Weight of a new sample of an average: about the last ten count here too. */
const SAMPLE_WEIGHT = 0.2;
/** What an answer is taken to be long where neither the client nor experience says so, tokens. */
const DEFAULT_COMPLETION_TOKENS = 256;
/** What a request is taken to be worth before the first one of its model has ended, tokens. */
const DEFAULT_WORK_TOKENS = 512;

/** An exponentially weighted mean. `value` is null until the first sample. */
export class Average {
  value: number | null = null;

  learn(sample: number): void {
    if (!Number.isFinite(sample) || sample < 0) return;
    this.value = this.value === null ? sample : this.value + SAMPLE_WEIGHT * (sample - this.value);
  }
}

/**
 * Tokens and the time they took, both fading: their quotient weighs long prompts more than short ones, whose times are
 * mostly overhead.
 */
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
   * Tokens per millisecond: measured, as far as enough was, else what is `usual`. Ten short prompts would else make one
   * of equals slow, and as nothing would then be sent there, slow for ever.
   */
  besides(usualPerMs: number): number {
    return (this.#tokens + DEFAULT_TOKENS) / (this.#ms + DEFAULT_TOKENS / usualPerMs);
  }

  /** Milliseconds for so many tokens; 0 before the first sample. */
  msFor(tokens: number): number {
    return this.#tokens > 0 ? (tokens * this.#ms) / this.#tokens : 0;
  }
}

/** What has been measured of a model, on whatever target. */
export class ModelMeasures {
  spec: ModelSpec;
  /** Of all instances, and of all nodes; for those that have not worked yet. */
  readonly prefillRate = new Rate();
  readonly decodeRate = new Rate();
  readonly nodePrefillRate = new Rate();
  /** Milliseconds a request holds a slot, from the order of a load to ready, and between two arrivals. */
  readonly holdMs = new Average();
  readonly loadMs = new Average();
  readonly arrivalGapMs = new Average();
  readonly completionTokens = new Average();
  /** Prompt tokens not cached plus completion tokens of one request. */
  readonly workTokens = new Average();

  constructor(spec: ModelSpec) {
    this.spec = spec;
  }

  /** Uncached prompt tokens plus completion tokens of a usual request. */
  get usualWork(): number {
    return Math.max(1, this.workTokens.value ?? DEFAULT_WORK_TOKENS);
  }

  /**
   * Tokens an answer will probably have: the recent mean, never more than the client allows; a negative `maxTokens`
   * allows all.
   */
  expectedCompletion(maxTokens: number): number {
    const usual = this.completionTokens.value ?? DEFAULT_COMPLETION_TOKENS;
    return maxTokens >= 0 ? Math.min(maxTokens, usual) : usual;
  }
}
