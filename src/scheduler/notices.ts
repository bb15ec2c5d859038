import type { RequestProgress, Waiting } from "../core/request.ts";
import { expectedWaitMs, type WaitEstimate, waitEstimate } from "./limits.ts";
import type { ModelRecord, RequestRecord } from "./records.ts";
import type { SchedulerState, Turn } from "./state.ts";

/** Waiting requests of a model are told of their places at most this often, and only when something happened. */
const NOTICE_INTERVAL_MS = 1000;
/** Those further back are not told until they come nearer: a notice costs time, and theirs would say little. */
const MAX_PLACES = 64;

/** Tells a request that has just joined the queue. */
export function noticeArrival(turn: Turn, request: RequestRecord): void {
  if (request.noticed) return;
  notice(turn, request, request.model.queue.placeOf(request), waitEstimate(request.model, turn.now));
}

/** Tells the first of a queue where they stand now. */
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

/** Where a request stands; null for one that has ended or was never here. */
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
