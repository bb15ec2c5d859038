import type { RequestRecord } from "./records.ts";
import type { Target } from "./target.ts";

/**
 * Weight of an uncached token. It delays not only this request but also later ones, and what it adds to the cache
 * displaces something else.
 */
export const MISS_WEIGHT = 3;
/** Weight of the sequences that a target is decoding: each is slowed down a little by another answer. */
const DECODE_SHARE = 0.1;

export interface Cost {
  /** Time to first token, milliseconds. */
  readonly firstTokenMs: number;
  /** What targets are compared by: the same, plus what the request costs others. */
  readonly weighedMs: number;
}

/**
 * The cost of sending the request now to the target, an instance here or a model on another node:
 *
 *   time to first token = network and load + prompts ahead of it + uncached prompt tokens ÷ prefill rate
 *   cost                = the same with uncached tokens counted three times, + tokens parked for it ÷ prefill rate
 *                       + 0.1 × expected answer × time per token × share of its slots that decode
 */
export function costOf(target: Target, request: RequestRecord, cachedTokens: number, now: number): Cost {
  const { prefillPerMs } = target;
  const missMs = (request.facts.promptTokens - cachedTokens) / prefillPerMs;
  const waitMs = target.delayMs + target.prefillWaitMs(now);
  const answerMs = target.decodeRate.msFor(request.model.expectedCompletion(request.facts.maxTokens));
  const othersMs = target.expectedTokens / prefillPerMs + DECODE_SHARE * answerMs * target.busyShare;
  return { firstTokenMs: waitMs + missMs, weighedMs: waitMs + MISS_WEIGHT * missMs + othersMs };
}
