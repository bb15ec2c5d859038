import type { AssistantError } from "../core/errors.ts";
import type { RequestProgress, Waiting } from "../core/request.ts";
import type { ModelRecord, RequestRecord } from "./records.ts";
import { refusal, type SchedulerState, type Turn } from "./state.ts";

/** Assumed time that a request holds a slot, and that a load takes, before the first one has ended. */
const DEFAULT_HOLD_MS = 5_000;
const DEFAULT_LOAD_MS = 5_000;
/** Clients are not sent away for longer than this because of an estimate. */
const MAX_RETRY_S = 300;
/** Waiting requests of a model are notified of their places at most this often, and only after a change. */
const NOTICE_INTERVAL_MS = 1000;
/** Requests further back are not notified until they move up: notices cost time, and theirs would be imprecise. */
const MAX_PLACES = 64;

/**
 * The figures behind the waits of one model's queue, so that the waits of many places need only one pass over the
 * instances.
 */
export interface WaitEstimate {
  /** Milliseconds until an instance is ready. */
  readonly loadingMs: number;
  /** Number of places, from the first, that are served as soon as one is. */
  readonly atOnce: number;
  /** Milliseconds from one place to the next; null before any measurement. */
  readonly perPlaceMs: number | null;
}

/**
 * Milliseconds until the request at this place (1-based) of the model's queue gets a slot, at the recent rate: place ×
 * mean time a slot is held ÷ slots. Null before any measurement.
 */
export function expectedWaitMs(estimate: WaitEstimate | null, place: number): number | null {
  if (estimate === null) return null;
  const behind = Math.max(0, place - estimate.atOnce);
  if (behind > 0 && estimate.perPlaceMs === null) return null;
  return estimate.loadingMs + behind * (estimate.perPlaceMs ?? 0);
}

/** Null without a measurement to base an estimate on. */
export function waitEstimate(model: ModelRecord, now: number): WaitEstimate | null {
  const hold = model.holdMs.value;
  const { slots, coming } = model.supply;
  if (slots > 0) return hold === null ? null : { loadingMs: 0, atOnce: 0, perPlaceMs: hold / slots };
  const load = model.loadMs.value;
  if (load === null) return null;
  let startedAt: number | null = null;
  for (const instance of coming)
    if (instance.life.phase === "ordered" || instance.life.phase === "starting")
      startedAt = Math.max(startedAt ?? 0, instance.startedAt);
  const loadingMs = startedAt === null ? load : Math.max(0, load - (now - startedAt));
  const atOnce = model.spec.load.slots;
  return { loadingMs, atOnce, perPlaceMs: hold === null ? null : hold / Math.max(1, atOnce) };
}

/** Whole seconds, 1 to 300, after which there is likely to be a place in a queue as long as the model's. */
export function retryAfterS(model: ModelRecord, now: number): number {
  const place = Math.max(1, model.queue.size);
  const estimate =
    expectedWaitMs(waitEstimate(model, now), place) ??
    DEFAULT_LOAD_MS + place * (model.holdMs.value ?? DEFAULT_HOLD_MS);
  return secondsOf(estimate);
}

export const secondsOf = (ms: number): number => Math.min(MAX_RETRY_S, Math.max(1, Math.ceil(ms / 1000)));

/** Null if one more request of the tenant may wait for the model. */
export function queueRefusal(
  { settings, queuedByTenant }: SchedulerState,
  model: ModelRecord,
  tenant: string,
  now: number,
): AssistantError | null {
  const full = (who: string, count: number, limit: number, key: string): AssistantError | null =>
    count < limit
      ? null
      : refusal(
          "queue_full",
          `${count} requests ${who}; the limit is ${limit}`,
          `Send fewer at once, or raise ${key} in [scheduler].`,
          retryAfterS(model, now),
        );
  return (
    full(
      `of "${tenant}" wait`,
      queuedByTenant.get(tenant) ?? 0,
      settings.maxQueuedPerTenant,
      "max_queued_per_tenant",
    ) ?? full(`wait for model "${model.name}"`, model.queue.size, settings.maxQueuedPerModel, "max_queued_per_model")
  );
}

/** Notifies a request that has just joined the queue. */
export function noticeArrival(turn: Turn, request: RequestRecord): void {
  if (request.noticed) return;
  notice(turn, request, request.model.queue.placeOf(request), waitEstimate(request.model, turn.now));
}

/** Notifies the first requests of a queue of their places. */
export function noticeQueue(turn: Turn, model: ModelRecord): void {
  if (model.queue.size === 0 || turn.now - model.noticedAt < NOTICE_INTERVAL_MS) return;
  model.noticedAt = turn.now;
  const estimate = waitEstimate(model, turn.now);
  let place = 0;
  for (const request of model.queue) {
    place += 1;
    if (place > MAX_PLACES) return;
    notice(turn, request, place, estimate);
  }
}

function notice(turn: Turn, request: RequestRecord, place: number, estimate: WaitEstimate | null): void {
  request.noticed = true;
  turn.effects.push({ type: "waiting", requestId: request.facts.id, wait: waitOf(request, place, estimate) });
}

const waitOf = ({ model }: RequestRecord, place: number, estimate: WaitEstimate | null): Waiting => ({
  reason: model.supply.serving === 0 ? "loading" : "queued",
  place,
  expectedStartMs: expectedWaitMs(estimate, place),
});

/** Progress of a request; null if it has ended or never existed here. */
export function progressOf(state: SchedulerState, requestId: string, now: number): RequestProgress | null {
  const request = state.requests.get(requestId);
  if (request === undefined) return null;
  const { model, tenant, stage } = request;
  const work = stage.type === "running" ? stage : null;
  return {
    model: model.name,
    tenant,
    ageMs: now - request.arrivedAt,
    wait: work === null ? waitOf(request, model.queue.placeOf(request), waitEstimate(model, now)) : null,
    instanceId: work?.target.id ?? null,
    answering: work?.answering ?? false,
  };
}
