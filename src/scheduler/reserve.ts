import type { InstanceRecord, ModelRecord, RequestRecord } from "./state.ts";

/** Share of a model's slots that a tenant which has more than its part leaves free for others. */
const RESERVED_SHARE = 1 / 16;
/** Models with fewer slots keep none free: one would be too large a part. */
const FEWEST_SLOTS = 4;
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
  const held = (model.inFlightByTenant.get(request.tenant) ?? 0) + sign;
  if (held > 0) model.inFlightByTenant.set(request.tenant, held);
  else model.inFlightByTenant.delete(request.tenant);
}

/**
 * Whether the last slots are kept from this request: its tenant has half of them or more, and others were there within
 * the last minute. Who floods a model would else hold every slot, and the next client, although first in the queue,
 * would wait for an answer of the flooder's to end. A tenant that is alone has all slots.
 */
export function isReserved(model: ModelRecord, request: RequestRecord, now: number): boolean {
  if (now >= model.othersUntil) return false;
  const { slots } = model;
  if (slots < FEWEST_SLOTS || (model.inFlightByTenant.get(request.tenant) ?? 0) * 2 < slots) return false;
  return slots - model.inFlight <= Math.ceil(slots * RESERVED_SHARE);
}
