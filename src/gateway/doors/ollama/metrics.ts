import type { JsonObject } from "../../../core/inference.ts";

const NS_PER_MS = 1e6;
const nanoseconds = (milliseconds: number): number => Math.max(0, Math.round(milliseconds * NS_PER_MS));

interface Usage {
  readonly prompt_tokens?: number;
  readonly prompt_tokens_details?: { readonly cached_tokens?: number | null } | null;
  readonly completion_tokens?: number;
}

/** Measurements of llama.cpp's engines. */
interface Timings {
  readonly prompt_ms?: number;
  readonly predicted_ms?: number;
}

/**
 * The counts and times at the end of an answer: the engine's own, otherwise as measured here. For an answer in one
 * piece from a service without measurements, prompt and answer cannot be distinguished: all the time counts for the
 * answer.
 */
export class Metrics {
  readonly #startedAt = performance.now();
  #waitedMs = 0;
  #firstAt: number | null = null;
  #usage: Usage = {};
  #timings: Timings = {};

  /** The head of the answer reports how long the request waited for a place, and for its model to load. */
  head(headers: readonly string[]): void {
    const at = headers.findIndex((header, index) => index % 2 === 0 && header === "x-assistant-queue-ms");
    this.#waitedMs = at < 0 ? 0 : Number(headers[at + 1]);
  }

  /** `answer`: an object of the answer, or all of it. `begins`: it has the first generated part. */
  add({ usage, timings }: JsonObject, begins: boolean): void {
    if (begins) this.#firstAt ??= performance.now();
    if (usage) this.#usage = usage as Usage;
    if (timings) this.#timings = timings as Timings;
  }

  get fields(): JsonObject {
    const now = performance.now();
    const { prompt_tokens: prompt, prompt_tokens_details: details, completion_tokens: completion } = this.#usage;
    const cached = details?.cached_tokens ?? null;
    const beganAt = this.#startedAt + this.#waitedMs;
    const firstAt = this.#firstAt ?? beganAt;
    const { prompt_ms: promptMs = this.#firstAt === null ? null : firstAt - beganAt } = this.#timings;
    const { predicted_ms: predictedMs = now - firstAt } = this.#timings;
    return {
      total_duration: nanoseconds(now - this.#startedAt),
      load_duration: nanoseconds(this.#waitedMs),
      ...(prompt === undefined ? {} : { prompt_eval_count: prompt }),
      ...(cached === null ? {} : { prompt_eval_cached_count: cached }),
      ...(promptMs === null ? {} : { prompt_eval_duration: nanoseconds(promptMs) }),
      ...(completion === undefined ? {} : { eval_count: completion }),
      eval_duration: nanoseconds(predictedMs),
    };
  }
}
