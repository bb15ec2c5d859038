import type { InferenceCall, JsonObject } from "../../core/inference.ts";
import type { ModelSpec } from "../../core/model.ts";

/** What all chunks of a text completion begin with. */
export interface GapHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
}

/** The parts of llama-server's own events that become a chunk. */
export interface GapEvent {
  readonly content?: string;
  readonly stop?: boolean;
  readonly stop_type?: string;
  readonly prompt_progress?: unknown;
  readonly timings?: Readonly<Record<string, number>>;
}

/** Null unless a text completion fills a gap. */
export const gapHeadOf = ({ id, body: { json } }: InferenceCall, { name }: ModelSpec): GapHead | null =>
  typeof json["suffix"] === "string" && json["suffix"] !== ""
    ? { id: `cmpl-${id}`, created: Math.floor(Date.now() / 1000), model: name }
    : null;

/** A text completion with `suffix` as a streamed request for llama-server's `/infill`. */
export function gapBody({ prompt, suffix, stop, stream_options: _, ...rest }: JsonObject): JsonObject {
  return {
    ...rest,
    input_prefix: [prompt].flat()[0],
    input_suffix: suffix,
    // Its own format only has lists.
    ...(stop === undefined || stop === null ? {} : { stop: [stop].flat() }),
    ...{ stream: true, return_progress: true },
  };
}

/** The equivalent chunk of OpenAI's text completions for an event. */
export function gapChunk(head: GapHead, { content = "", stop, stop_type: type, prompt_progress, timings }: GapEvent) {
  const finish = stop === true ? (type === "limit" ? "length" : "stop") : null;
  const { cache_n: cached = 0, prompt_n: prompted = 0, predicted_n: predicted = 0 } = timings ?? {};
  const usage = {
    completion_tokens: predicted,
    prompt_tokens: cached + prompted,
    total_tokens: cached + prompted + predicted,
    prompt_tokens_details: { cached_tokens: cached },
  };
  return {
    ...head,
    object: "text_completion",
    choices: [{ text: content, index: 0, logprobs: null, finish_reason: finish }],
    ...(prompt_progress === undefined ? {} : { prompt_progress }),
    ...(stop === true && timings !== undefined ? { usage, timings } : {}),
  };
}
