import type { InstanceRecord, ModelRecord } from "./records.ts";

/** What an answer is taken to be long where neither the client nor experience says so, tokens. */
const UNKNOWN_COMPLETION_TOKENS = 256;
/** What a request is taken to be worth before the first one of its model has ended, tokens. */
const UNKNOWN_WORK_TOKENS = 512;

/** Tokens an answer will probably have: the model's recent mean, never more than the client allows; a negative `maxTokens` allows all. */
export function expectedCompletion(model: ModelRecord, maxTokens: number): number {
  const usual = model.averages.completionTokens.value ?? UNKNOWN_COMPLETION_TOKENS;
  return maxTokens >= 0 ? Math.min(maxTokens, usual) : usual;
}

/** Prefill and decode tokens that the instance still has to do for the requests it holds. */
export const outstandingTokens = (instance: InstanceRecord): number => instance.prefillTokens + instance.decodeTokens;

/**
 * Work in flight ÷ capacity. One slot's worth of work is what a usual request of the model is: the mean of its
 * uncached prompt tokens plus its completion tokens.
 *
 *   load = max(outstanding tokens ÷ (slots × usual tokens of a request), requests in flight ÷ slots)
 *
 * 1 means that the instance has as much to do as it has slots for; long requests may take it above 1. The second term
 * keeps an instance without a free slot at 1 or more, however little is left to do in its slots.
 */
export function loadOf(instance: InstanceRecord): number {
  if (instance.slots === 0) return 0;
  const usual = Math.max(1, instance.model.averages.workTokens.value ?? UNKNOWN_WORK_TOKENS);
  return Math.max(outstandingTokens(instance) / (instance.slots * usual), instance.inFlight.size / instance.slots);
}
