import type { Refusal } from "./effects.ts";
import type { ModelRecord, SchedulerState } from "./state.ts";
import { refusal } from "./turn.ts";

/** What a request is taken to hold a slot before the first one has ended, and what a load takes before the first one has. */
const UNKNOWN_HOLD_MS = 5_000;
const UNKNOWN_LOAD_MS = 5_000;
/** Nobody is told to stay away longer than this on the strength of an estimate. */
const LONGEST_RETRY_S = 300;

/**
 * Milliseconds until the request at this place (1-based) of the model's queue gets a slot, at the rate at which slots
 * have been given back lately: place × mean time a slot is held ÷ slots. Null where nothing has been measured.
 */
export function expectedWaitMs(model: ModelRecord, place: number, now: number): number | null {
  let slots = 0;
  let startedAt: number | null = null;
  // At most as many as the model has replicas, and only when a request must wait.
  for (const instance of model.instances) {
    if (instance.phase === "ready" && instance.leaving === null) slots += instance.slots;
    else if (instance.phase === "ordered" || instance.phase === "starting") startedAt = Math.max(startedAt ?? 0, instance.startedAt);
  }
  const hold = model.averages.holdMs.value;
  if (slots > 0) return hold === null ? null : (place * hold) / slots;
  const load = model.averages.loadMs.value;
  if (load === null) return null;
  const loading = startedAt === null ? load : Math.max(0, load - (now - startedAt));
  // The first requests start with the instance; how many, only the instance will say: one slot is certain.
  return loading + (place - 1) * (hold ?? 0);
}

/** Whole seconds, 1 to 300, after which a place in a queue as long as the model's is likely to be had. */
export function retryAfterS(model: ModelRecord, now: number): number {
  const place = Math.max(1, model.queue.size);
  const estimate = expectedWaitMs(model, place, now) ?? UNKNOWN_LOAD_MS + place * (model.averages.holdMs.value ?? UNKNOWN_HOLD_MS);
  return secondsOf(estimate);
}

export const secondsOf = (ms: number): number => Math.min(LONGEST_RETRY_S, Math.max(1, Math.ceil(ms / 1000)));

/** Null when one more request of the model may wait. */
export function queueRefusal(state: SchedulerState, model: ModelRecord, now: number): Refusal | null {
  const limit = state.settings.maxQueuedPerModel;
  if (model.queue.size < limit) return null;
  const message = `${model.queue.size} requests wait for model "${model.name}"; the limit is ${limit}`;
  return refusal("queue_full", message, "Try again later, or raise the limit of waiting requests in [scheduler].", retryAfterS(model, now));
}
