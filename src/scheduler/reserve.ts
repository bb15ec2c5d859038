import type { ModelRecord, RequestRecord } from "./records.ts";

/**
 * One slot of each instance is kept, but no larger part of all than this; of fewer slots none: one would be too large a
 * part.
 */
const MAX_SHARE = 1 / 4;
/** Instances that are looked at for one that has no prompt to work off. */
const LOOKED_AT = 8;
/** For how long others are expected back. */
const EXPECTED_MS = 60_000;

/** Keeps account of how often and by whom the model is asked for. */
export function noteArrival(model: ModelRecord, tenant: string, now: number): void {
  if (model.lastArrivedAt > 0) model.arrivalGapMs.learn(now - model.lastArrivedAt);
  model.lastArrivedAt = now;
  if (model.lastTenant !== tenant && model.lastTenant !== null) model.othersUntil = now + EXPECTED_MS;
  model.lastTenant = tenant;
}

/**
 * Whether the last slots are kept from this request: its tenant has half of them or more, and others were there within
 * the last minute. Who floods a model would else hold every slot, and the next client, although first in the queue,
 * would wait for an answer of the flooder's to end. And of several instances, one with a free slot is kept without a
 * prompt to work off: a prompt that has begun is not interrupted. A tenant that is alone has all slots.
 */
export function isReserved(model: ModelRecord, request: RequestRecord, now: number): boolean {
  if (now >= model.othersUntil) return false;
  const { slots, serving } = model.supply;
  const kept = Math.min(serving, Math.floor(slots * MAX_SHARE));
  if (kept === 0 || model.inFlightOf(request.tenant) * 2 < slots) return false;
  if (slots - model.inFlight <= kept) return true;
  return serving > 1 && !hasTwoOpen(model);
}

/** Two instances with a free slot and no prompt under way: one is left when the other gets this one. */
function hasTwoOpen({ available }: ModelRecord): boolean {
  // Where the policy ranks them by their prompts the first are those, so three show it.
  let open = 0;
  for (let index = 0; index < LOOKED_AT && open < 2; index++) if (available.items[index]?.unanswered === 0) open += 1;
  return open === 2;
}
