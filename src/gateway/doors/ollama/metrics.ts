import type { JsonObject } from "../../../core/inference.ts";

const NS_PER_MS = 1e6;
const nanoseconds = (milliseconds: number): number => Math.max(0, Math.round(milliseconds * NS_PER_MS));

interface Usage {
  readonly prompt_tokens?: number;
  readonly completion_tokens?: number;
}

/** What llama.cpp's engines measure. */
interface Timings {
  readonly prompt_ms?: number;
  readonly predicted_ms?: number;
}

/**
 * The counts and times that end an answer: the engine's own, else what was seen from here. Of an answer in one piece,
 * from a service that measures nothing, prompt and answer are not told apart: all its time is that of the answer.
 */
export class Metrics {
  readonly #startedAt = performance.now();
  #waitedMs = 0;
  #firstAt: number | null = null;
  #usage: Usage = {};
  #timings: Timings = {};

  /** The head of the answer says how long the request waited for a place, and for its model to load. */
  head(headers: readonly string[]): void {
    const at = headers.findIndex((header, index) => index % 2 === 0 && header === "x-assistant-queue-ms");
    this.#waitedMs = at < 0 ? 0 : Number(headers[at + 1]);
  }

  /** `answer`: an object of the answer, or all of it. `begins`: it has the first part of what was generated. */
  add({ usage, timings }: JsonObject, begins: boolean): void {
    if (begins) this.#firstAt ??= performance.now();
    if (usage) this.#usage = usage as Usage;
    if (timings) this.#timings = timings as Timings;
  }

  get fields(): JsonObject {
    const now = performance.now();
    const { prompt_tokens: prompt, completion_tokens: completion } = this.#usage;
    const beganAt = this.#startedAt + this.#waitedMs;
    const firstAt = this.#firstAt ?? beganAt;
    const { prompt_ms: promptMs = this.#firstAt === null ? null : firstAt - beganAt } = this.#timings;
    const { predicted_ms: predictedMs = now - firstAt } = this.#timings;
    return {
      total_duration: nanoseconds(now - this.#startedAt),
      load_duration: nanoseconds(this.#waitedMs),
      ...(prompt === undefined ? {} : { prompt_eval_count: prompt }),
      ...(promptMs === null ? {} : { prompt_eval_duration: nanoseconds(promptMs) }),
      ...(completion === undefined ? {} : { eval_count: completion }),
      eval_duration: nanoseconds(predictedMs),
    };
  }
}
