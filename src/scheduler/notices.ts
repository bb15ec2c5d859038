import { expectedWaitMs, type WaitEstimate, waitEstimate } from "./limits.ts";
import type { ModelRecord, RequestRecord } from "./state.ts";
import type { Turn } from "./turn.ts";

/** Waiting requests of a model are told of their places at most this often, and only when something happened. */
const NOTICE_INTERVAL_MS = 1000;
/** Those further back are not told until they come nearer: a notice costs time, and theirs would say little. */
const NOTICED_PLACES = 64;

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
    if (place > NOTICED_PLACES) return;
    notice(turn, request, place, estimate);
  }
}

function notice(turn: Turn, request: RequestRecord, place: number, estimate: WaitEstimate | null): void {
  request.noticed = true;
  const reason = request.model.serving === 0 ? "loading" : "queued";
  turn.effects.push({ type: "waiting", requestId: request.facts.id, wait: { reason, place, expectedStartMs: expectedWaitMs(estimate, place) } });
}
