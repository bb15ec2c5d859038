import type { ModelRecord, RequestRecord } from "./records.ts";

/**
 * One slot per instance is reserved, but at most this share of all; with fewer slots none, as one would be too large a
 * share.
 */
const MAX_SHARE = 1 / 4;
/** Instances examined to find one without a prompt. */
const LOOKED_AT = 8;
/** How long other tenants are expected to return. */
const EXPECTED_MS = 60_000;

/** Records how often the model is requested, and by whom. */
export function noteArrival(model: ModelRecord, tenant: string, now: number): void {
  if (model.lastArrivedAt > 0) model.arrivalGapMs.learn(now - model.lastArrivedAt);
  model.lastArrivedAt = now;
  if (model.lastTenant !== tenant && model.lastTenant !== null) model.othersUntil = now + EXPECTED_MS;
  model.lastTenant = tenant;
}

/**
 * Whether the last slots are reserved against this request: its tenant has at least half of them, and others were
 * active within the last minute. Otherwise, a tenant that floods a model would hold every slot, and the next client,
 * although first in the queue, would wait for one of the flooder's answers to end. Of several instances, one with a
 * free slot is also kept without a prompt, since a running prompt is not interrupted. A tenant that is alone has all
 * slots.
 */
export function isReserved(model: ModelRecord, request: RequestRecord, now: number): boolean {
  if (now >= model.othersUntil) return false;
  const { slots, serving } = model.supply;
  const kept = Math.min(serving, Math.floor(slots * MAX_SHARE));
  if (kept === 0 || model.inFlightOf(request.tenant) * 2 < slots) return false;
  if (slots - model.inFlight <= kept) return true;
  return serving > 1 && !hasTwoOpen(model);
}

/** Two instances with a free slot and no running prompt: one remains when the other gets this one. */
function hasTwoOpen({ available }: ModelRecord): boolean {
  // If the policy ranks them by their prompts, these come first, so the first three would be enough.
  let open = 0;
  for (let index = 0; index < LOOKED_AT && open < 2; index++) if (available.items[index]?.unanswered === 0) open += 1;
  return open === 2;
}
