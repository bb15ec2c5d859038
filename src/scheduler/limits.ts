import type { AssistantError } from "../core/errors.ts";
import type { ModelRecord } from "./records.ts";
import { type SchedulerState, refusal } from "./state.ts";

/** What a request is taken to hold a slot before the first one has ended, and what a load takes before the first one has. */
const DEFAULT_HOLD_MS = 5_000;
const DEFAULT_LOAD_MS = 5_000;
/** Nobody is told to stay away longer than this on the strength of an estimate. */
const MAX_RETRY_S = 300;

/** What the waits of one model's queue follow from, so that many places cost one look at the instances. */
export interface WaitEstimate {
  /** Milliseconds until an instance serves. */
  readonly loadingMs: number;
  /** Places, from the first, that are served as soon as one does. */
  readonly atOnce: number;
  /** Milliseconds from one place to the next; null where nothing was measured. */
  readonly perPlaceMs: number | null;
}

/**
 * Milliseconds until the request at this place (1-based) of the model's queue gets a slot, at the rate at which slots
 * have been given back lately: place × mean time a slot is held ÷ slots. Null where nothing has been measured.
 */
export function expectedWaitMs(estimate: WaitEstimate | null, place: number): number | null {
  if (estimate === null) return null;
  const behind = Math.max(0, place - estimate.atOnce);
  if (behind > 0 && estimate.perPlaceMs === null) return null;
  return estimate.loadingMs + behind * (estimate.perPlaceMs ?? 0);
}

/** Null where nothing was measured that an estimate could start from. */
export function waitEstimate(model: ModelRecord, now: number): WaitEstimate | null {
  const hold = model.averages.holdMs.value;
  const { slots, coming } = model.supply;
  if (slots > 0) return hold === null ? null : { loadingMs: 0, atOnce: 0, perPlaceMs: hold / slots };
  const load = model.averages.loadMs.value;
  if (load === null) return null;
  let startedAt: number | null = null;
  for (const instance of coming)
    if (instance.life.phase === "ordered" || instance.life.phase === "starting")
      startedAt = Math.max(startedAt ?? 0, instance.startedAt);
  const loadingMs = startedAt === null ? load : Math.max(0, load - (now - startedAt));
  const atOnce = model.spec.load.slots;
  return { loadingMs, atOnce, perPlaceMs: hold === null ? null : hold / Math.max(1, atOnce) };
}

/** Whole seconds, 1 to 300, after which a place in a queue as long as the model's is likely to be had. */
export function retryAfterS(model: ModelRecord, now: number): number {
  const place = Math.max(1, model.queue.size);
  const estimate =
    expectedWaitMs(waitEstimate(model, now), place) ??
    DEFAULT_LOAD_MS + place * (model.averages.holdMs.value ?? DEFAULT_HOLD_MS);
  return secondsOf(estimate);
}

export const secondsOf = (ms: number): number => Math.min(MAX_RETRY_S, Math.max(1, Math.ceil(ms / 1000)));

/** Null when one more request of the tenant may wait for the model. */
export function queueRefusal(
  state: SchedulerState,
  model: ModelRecord,
  tenant: string,
  now: number,
): AssistantError | null {
  const ofTenant = state.queuedByTenant.get(tenant) ?? 0;
  const { maxQueuedPerTenant } = state.settings;
  if (ofTenant >= maxQueuedPerTenant) {
    const message = `${ofTenant} requests of "${tenant}" wait; the limit is ${maxQueuedPerTenant}`;
    return refusal(
      "queue_full",
      message,
      "Send fewer at once, or raise max_queued_per_tenant in [scheduler].",
      retryAfterS(model, now),
    );
  }
  const limit = state.settings.maxQueuedPerModel;
  if (model.queue.size < limit) return null;
  const message = `${model.queue.size} requests wait for model "${model.name}"; the limit is ${limit}`;
  return refusal(
    "queue_full",
    message,
    "Try again later, or raise max_queued_per_model in [scheduler].",
    retryAfterS(model, now),
  );
}
