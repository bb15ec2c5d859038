import type { InstanceRecord, Rate, RequestRecord } from "./records.ts";

/** What is left of the past with each sample: about the last ten count. */
const FADING = 0.9;
/** Prompts shorter than this say more about overhead than about speed. */
const FEWEST_TOKENS = 32;
/** Tokens that an instance must have worked off for its own measurements to weigh as much as the model's. */
const USUAL_TOKENS = 4096;
/** Prefill tokens per millisecond before anything was measured, of a small model. Wrong, but in the right order among devices. */
const PRIOR_GPU = 4;
const PRIOR_CPU = 0.2;

export const rate = (): Rate => ({ tokens: 0, ms: 0 });

export function learnRate(known: Rate, tokens: number, ms: number): void {
  if (!(tokens >= FEWEST_TOKENS) || !(ms > 0)) return;
  known.tokens = known.tokens * FADING + tokens;
  known.ms = known.ms * FADING + ms;
}

/**
 * Prompt tokens per millisecond that the instance works off: measured, as far as it has worked off enough, else what is usual of
 * the model's instances, else a guess from the device. Ten short prompts would else make one of equals slow, and as nothing
 * would then be sent there, slow for ever.
 */
export function prefillPerMs(instance: InstanceRecord): number {
  const { tokens, ms } = instance.prefillRate;
  return (tokens + USUAL_TOKENS) / (ms + USUAL_TOKENS / modelPrefillPerMs(instance));
}

/** The same of the model's instances altogether. */
export function modelPrefillPerMs({ model, device }: InstanceRecord): number {
  const { tokens, ms } = model.prefillRate;
  if (ms > 0) return tokens / ms;
  return device.isCpu ? PRIOR_CPU : PRIOR_GPU;
}

/** Whether the rate is more than a guess. */
export const isMeasured = (instance: InstanceRecord): boolean => instance.prefillRate.ms > 0 || instance.model.prefillRate.ms > 0;

/** Milliseconds until the instance has worked off the prompts that it has. */
export const prefillWaitMs = (instance: InstanceRecord, now: number): number => (instance.unanswered === 0 ? 0 : Math.max(0, instance.prefilledAt - now));

/** A prompt joins those of the instance. */
export function prefillBegins(instance: InstanceRecord, request: RequestRecord, now: number): void {
  instance.prefilledAt = now + prefillWaitMs(instance, now) + request.prefillTokens / prefillPerMs(instance);
  request.alone = instance.unanswered === 0;
  instance.unanswered += 1;
  request.prefilledAt = instance.prefilledAt;
}

/** The first token came: what is still expected moves by as much as this came early or late. */
export function prefillEnded(instance: InstanceRecord, request: RequestRecord, now: number): void {
  instance.unanswered -= 1;
  // Before the prompt before it was done, the engine was at work on that.
  request.prefillMs = Math.max(0, now - Math.max(request.dispatchedAt, instance.promptEndedAt));
  instance.promptEndedAt = now;
  instance.prefilledAt += now - request.prefilledAt;
  // The engine tells its times with the end of an answer only; until then this is better than a guess.
  if (!request.alone || isMeasured(instance)) return;
  for (const known of [instance.prefillRate, instance.model.prefillRate])
    learnRate(known, request.facts.promptTokens - request.promisedTokens, now - request.dispatchedAt);
}

/** A prompt was given up: what was left of it falls away. */
export function prefillGivenUp(instance: InstanceRecord, request: RequestRecord, now: number): void {
  instance.unanswered -= 1;
  instance.prefilledAt -= Math.min(request.prefillTokens / prefillPerMs(instance), Math.max(0, request.prefilledAt - now));
}
