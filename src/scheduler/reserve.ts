import type { InstanceRecord, ModelRecord, RequestRecord } from "./state.ts";

/** Share of a model's slots that a tenant which has more than its part leaves free for others. */
const RESERVED_SHARE = 1 / 16;
/** With several instances one slot of each, but no larger part of all than this. */
const MOST_SHARE = 1 / 4;
/** Models with fewer slots keep none free: one would be too large a part. */
const FEWEST_SLOTS = 4;
/** Instances that are looked at for one that has no prompt to work off. */
const LOOKED_AT = 8;
/** For how long others are expected back. */
const EXPECTED_MS = 60_000;

/** Keeps account of who asks for the model. */
export function noteTenant(model: ModelRecord, tenant: string, now: number): void {
  if (model.lastTenant !== tenant && model.lastTenant !== null) model.othersUntil = now + EXPECTED_MS;
  model.lastTenant = tenant;
}

export function holdSlot(instance: InstanceRecord, request: RequestRecord, sign: 1 | -1): void {
  const { model } = instance;
  model.inFlight += sign;
  // Nobody is taken out: there are as many tenants as keys, and a request is no time to shrink a table.
  model.inFlightByTenant.set(request.tenant, (model.inFlightByTenant.get(request.tenant) ?? 0) + sign);
}

/**
 * Whether the last slots are kept from this request: its tenant has half of them or more, and others were there within
 * the last minute. Who floods a model would else hold every slot, and the next client, although first in the queue,
 * would wait for an answer of the flooder's to end. And of several instances, one with a free slot is kept without a
 * prompt to work off: a prompt that has begun is not interrupted. A tenant that is alone has all slots.
 */
export function isReserved(model: ModelRecord, request: RequestRecord, now: number): boolean {
  if (now >= model.othersUntil) return false;
  const { slots } = model;
  if (slots < FEWEST_SLOTS || (model.inFlightByTenant.get(request.tenant) ?? 0) * 2 < slots) return false;
  const kept = Math.max(Math.ceil(slots * RESERVED_SHARE), Math.min(model.serving, Math.floor(slots * MOST_SHARE)));
  if (slots - model.inFlight <= kept) return true;
  return model.serving > 1 && !hasTwoOpen(model);
}

/** Two instances with a free slot and no prompt under way: one is left when the other gets this one. */
function hasTwoOpen({ available }: ModelRecord): boolean {
  // Where the policy ranks them by their prompts the first are those, so three show it.
  let open = 0;
  for (let index = 0; index < LOOKED_AT && open < 2; index++) if (available.items[index]?.unanswered === 0) open += 1;
  return open === 2;
}
