import type { RequestRecord } from "./records.ts";
import type { Target } from "./target.ts";

/**
 * A token that is not cached counts this often. Its own time is what this request waits; but it also delays all who
 * come after, and what it adds to the cache pushes something else out.
 */
export const MISS_WEIGHT = 3;
/** Weight of the sequences that a target decodes already: each slows down its answer a little. */
const DECODE_SHARE = 0.1;

export interface Cost {
  /** Until the first token, milliseconds. */
  readonly firstTokenMs: number;
  /** What targets are compared by: the same, with what the request takes from others. */
  readonly weighedMs: number;
}

/**
 * What it costs to send the request to the target, an instance here or a model on another node, `now`:
 *
 *   until the first token = way there and load + prompts before it + uncached prompt tokens ÷ prefill rate
 *   compared by           = the same with uncached tokens counted three times, + tokens of those that wait for it ÷ prefill rate
 *                         + 0.1 × expected answer × time per token × share of its slots that decode
 */
export function costOf(target: Target, request: RequestRecord, cachedTokens: number, now: number): Cost {
  const { prefillPerMs } = target;
  const missMs = (request.facts.promptTokens - cachedTokens) / prefillPerMs;
  const waitMs = target.delayMs + target.prefillWaitMs(now);
  const answerMs = target.decodeRate.msFor(request.model.expectedCompletion(request.facts.maxTokens));
  const othersMs = target.expectedTokens / prefillPerMs + DECODE_SHARE * answerMs * target.busyShare;
  return { firstTokenMs: waitMs + missMs, weighedMs: waitMs + MISS_WEIGHT * missMs + othersMs };
}
