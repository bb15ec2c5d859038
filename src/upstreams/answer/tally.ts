import type { AnswerFacts } from "../../core/upstream.ts";

/** Counts of one answer, as reported by an engine at its end. */
interface Usage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number };
}

/** Counts and times of one answer, by llama-server's names. */
type Timings = Readonly<Record<string, number>>;

/** Timings that can be added; the others are rates derived from them. */
const SUMS = ["cache_n", "prompt_n", "prompt_ms", "predicted_n", "predicted_ms"] as const;

/** Adds up the counts of several answers to one request, which engines report for each. */
export class Tally {
  /** Several answers to a prompt read it once. */
  readonly #prompts = new Map<number, { tokens: number; cached: number }>();
  readonly #sums: Record<string, number> = {};
  #completionTokens = 0;

  /** `prompt` numbers the prompts of the request. */
  add(prompt: number, usage: Usage, timings: Timings | undefined): void {
    this.#completionTokens += usage.completion_tokens ?? 0;
    const tokens = usage.prompt_tokens ?? 0;
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    // Another answer finds the prompt in the cache filled by the first one.
    const known = this.#prompts.get(prompt);
    this.#prompts.set(prompt, { tokens, cached: Math.min(cached, known?.cached ?? cached) });
    for (const name of SUMS) this.#sums[name] = (this.#sums[name] ?? 0) + (timings?.[name] ?? 0);
  }

  get usage(): object {
    const promptTokens = this.#sumOf("tokens");
    return {
      completion_tokens: this.#completionTokens,
      prompt_tokens: promptTokens,
      total_tokens: promptTokens + this.#completionTokens,
      prompt_tokens_details: { cached_tokens: this.#sumOf("cached") },
    };
  }

  get timings(): object {
    const {
      prompt_n: prompt = 0,
      prompt_ms: promptMs = 0,
      predicted_n: predicted = 0,
      predicted_ms: predictedMs = 0,
    } = this.#sums;
    return { ...this.#sums, ...rates("prompt", prompt, promptMs), ...rates("predicted", predicted, predictedMs) };
  }

  get facts(): Omit<AnswerFacts, "finishReason"> {
    const { prompt_ms: promptMs = null, predicted_ms: completionMs = null } = this.#sums;
    return {
      promptTokens: this.#sumOf("tokens"),
      cachedTokens: this.#sumOf("cached"),
      completionTokens: this.#completionTokens,
      promptMs,
      completionMs,
    };
  }

  #sumOf(name: "tokens" | "cached"): number {
    return [...this.#prompts.values()].reduce((sum, prompt) => sum + prompt[name], 0);
  }
}

const rates = (name: string, count: number, ms: number): object => ({
  [`${name}_per_token_ms`]: count > 0 ? ms / count : 0,
  [`${name}_per_second`]: ms > 0 ? (count / ms) * 1000 : 0,
});
