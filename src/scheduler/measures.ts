import type { ModelSpec } from "../core/model.ts";

/** Share of the past that remains with each sample: about the last ten count. */
const FADING = 0.9;
/** Shorter prompts measure overhead rather than speed. */
const MIN_TOKENS = 32;
/** Weight of the model's usual rate, in tokens, when it is combined with a target's own measurements. */
const DEFAULT_TOKENS = 4096;
/** Weight of a new sample in an average: about the last ten count here too. */
const SAMPLE_WEIGHT = 0.2;
/** Assumed length of an answer, in tokens, if neither the client nor experience gives one. */
const DEFAULT_COMPLETION_TOKENS = 256;
/** Assumed work of a request, in tokens, before the first one of its model has ended. */
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
 * Tokens and the time they took, both fading: their quotient gives long prompts more weight than short ones, whose
 * times are mostly overhead.
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
   * Tokens per millisecond: the measurements, combined with the `usual` rate until there are enough of them. Otherwise
   * ten short prompts could make one of several equal targets look slow, and it would stay so because it gets no more
   * requests.
   */
  besides(usualPerMs: number): number {
    return (this.#tokens + DEFAULT_TOKENS) / (this.#ms + DEFAULT_TOKENS / usualPerMs);
  }

  /** Milliseconds for so many tokens; 0 before the first sample. */
  msFor(tokens: number): number {
    return this.#tokens > 0 ? (tokens * this.#ms) / this.#tokens : 0;
  }
}

/** Measurements of a model, on all targets. */
export class ModelMeasures {
  spec: ModelSpec;
  /** Over all instances, and over all nodes; used for targets without measurements. */
  readonly prefillRate = new Rate();
  readonly decodeRate = new Rate();
  readonly nodePrefillRate = new Rate();
  /** Milliseconds that a request holds a slot, that a load takes, and between two arrivals. */
  readonly holdMs = new Average();
  readonly loadMs = new Average();
  readonly arrivalGapMs = new Average();
  readonly completionTokens = new Average();
  /** Uncached prompt tokens plus completion tokens of one request. */
  readonly workTokens = new Average();

  constructor(spec: ModelSpec) {
    this.spec = spec;
  }

  /** Uncached prompt tokens plus completion tokens of a typical request. */
  get usualWork(): number {
    return Math.max(1, this.workTokens.value ?? DEFAULT_WORK_TOKENS);
  }

  /**
   * Expected tokens of an answer: the recent mean, but at most what the client allows; negative `maxTokens`: no limit.
   */
  expectedCompletion(maxTokens: number): number {
    const usual = this.completionTokens.value ?? DEFAULT_COMPLETION_TOKENS;
    return maxTokens >= 0 ? Math.min(maxTokens, usual) : usual;
  }
}
