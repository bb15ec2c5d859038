import type { JsonObject } from "../../../core/inference.ts";
import { isString } from "../../canonical/rules.ts";
import type { Choice, Chunk } from "./chunk.ts";

/** Anthropic's stop reasons. */
const REASONS: Readonly<Record<string, string>> = {
  stop: "end_turn",
  tool_calls: "tool_use",
  function_call: "tool_use",
  content_filter: "refusal",
};

/** The end and the usage of an answer, from its chunks. */
export class Ending {
  readonly #limit: unknown;
  #finish = "stop";
  #stop: string | null = null;
  #called = false;
  #prompt = 0;
  #cached = 0;
  #completion = 0;

  /** `limit`: the client's token limit. */
  constructor(limit: unknown) {
    this.#limit = limit;
  }

  see(chunk: Chunk): void {
    const { choices, usage, prompt_progress: progress, __verbose: verbose } = chunk;
    const choice = choices?.[0];
    if (choice !== undefined) this.#seeChoice(choice, verbose?.stopping_word);
    if (progress !== undefined) {
      this.#prompt = progress.total ?? 0;
      this.#cached = progress.cache ?? 0;
    }
    if (!usage) return;
    this.#prompt = usage.prompt_tokens ?? 0;
    this.#cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    this.#completion = usage.completion_tokens ?? 0;
  }

  get delta(): JsonObject {
    const stop = this.#finish === "stop" && !this.#called ? this.#stop : null;
    return { stop_reason: stop === null ? this.#reason : "stop_sequence", stop_sequence: stop };
  }

  /** Cached tokens are counted separately. */
  get usage(): JsonObject {
    return {
      input_tokens: this.#prompt - this.#cached,
      cache_creation_input_tokens: 0,
      cache_read_input_tokens: this.#cached,
      output_tokens: this.#completion,
      output_tokens_details: null,
      server_tool_use: null,
    };
  }

  get messageUsage(): JsonObject {
    return { ...this.usage, cache_creation: null, inference_geo: null, service_tier: "standard", speed: null };
  }

  #seeChoice({ delta, message, finish_reason: finish, stop_reason: stop }: Choice, word: unknown): void {
    if (((delta ?? message)?.tool_calls?.length ?? 0) > 0) this.#called = true;
    if (finish) this.#finish = finish;
    for (const said of [stop, word]) if (isString(said) && said !== "") this.#stop = said;
  }

  get #reason(): string {
    if (this.#finish === "stop" && this.#called) return "tool_use";
    if (this.#finish !== "length") return REASONS[this.#finish] ?? "end_turn";
    const isFull = typeof this.#limit === "number" && this.#completion > 0 && this.#completion < this.#limit;
    return isFull ? "model_context_window_exceeded" : "max_tokens";
  }
}
