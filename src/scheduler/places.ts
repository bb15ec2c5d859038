import type { Life } from "./life.ts";
import { type DeviceRecord, type InstanceRecord, type ModelRecord, QUEUED } from "./records.ts";
import { arm, disarm, type Turn } from "./state.ts";

/** The life of an instance goes on. Nothing else changes `life`. */
export function setLife(turn: Turn, instance: InstanceRecord, life: Life): void {
  instance.life = life;
  changed(turn, instance);
}

/**
 * Call after what instances come to may have changed: life, pins, bytes, threads, slots. Everything that depends on it
 * is looked at again.
 */
export function changed(turn: Turn, instance: InstanceRecord): void {
  instance.device.recount();
  instance.model.recount();
  turn.state.dirty.add(instance.model);
  roomChanged(turn);
  refresh(turn, instance);
  if (instance.life.phase !== "ready") unpark(turn, instance);
}

/** The same for all instances of a model, after a setting of it has changed. */
export function modelChanged(turn: Turn, model: ModelRecord): void {
  for (const instance of model.instances) changed(turn, instance);
}

/** Blocked models look again at the end of this decision. */
export function roomChanged({ state }: Turn): void {
  state.roomEpoch += 1;
  state.roomChanged = true;
}

/** Brings the indexes that an instance is found by up to date. Call after its requests or its life changed. */
export function refresh(turn: Turn, instance: InstanceRecord): void {
  const { model, life, suspect, idle } = instance;
  instance.rank = turn.state.policy.rank(instance);
  if (life.phase === "ready" && !suspect.armed && instance.hasFreeSlot && isAdmitted(instance))
    model.available.update(instance);
  else model.available.remove(instance);
  const ttl = model.idleTtlMs;
  if (ttl !== null && life.phase === "ready" && instance.inFlight.size === 0 && !instance.isPinned) {
    const at = instance.lastUsedAt + ttl;
    if (!idle.armed || idle.at !== at) arm(turn, idle, at);
  } else if (idle.armed) disarm(turn, idle);
}

/** Who waits for this instance in particular is looked at again: it has changed, or is not what it was hoped to be. */
export function unpark(turn: Turn, instance: InstanceRecord): void {
  disarm(turn, instance.parkedDue);
  if (instance.parked.size === 0) return;
  for (const request of instance.parked) {
    request.stage = QUEUED;
    instance.model.queue.unpark(request);
  }
  instance.parked.clear();
  turn.state.dirty.add(instance.model);
}

/** Whether the device's other work, and who needs it alone, let the instance take a request. */
function isAdmitted({ device, model }: InstanceRecord): boolean {
  if (device.holder !== null) return false;
  return model.spec.exclusive ? device.isQuiet : device.claim === null;
}

/** A request runs on the instance from now on. */
export function occupy(turn: Turn, { device, model }: InstanceRecord, requestId: string): void {
  if (!turn.state.hasExclusive) return;
  if (model.spec.exclusive) {
    device.holder = requestId;
    device.claim = null;
  }
  reconsider(turn, device);
}

/**
 * A request of the instance has ended. Call before its model is looked at again, so that the others have their turn
 * first.
 */
export function vacate(turn: Turn, { device }: InstanceRecord, requestId: string): void {
  if (!turn.state.hasExclusive) return;
  if (device.holder === requestId) device.holder = null;
  if (device.isQuiet) reconsider(turn, device);
}

/**
 * A model that needs its device alone and has waiting requests gets no moment by itself on a busy one: it claims it, so
 * that nothing new begins there until it has had its turn. One turn, then those go that waited for the end of it.
 */
export function claim(turn: Turn, model: ModelRecord): void {
  if (!model.spec.exclusive) return;
  for (const device of new Set([...model.instances].map((instance) => instance.device))) {
    // Of several instances of it there, one that is up will do: each for itself, they would claim and unclaim for ever.
    const isUp = [...model.instances].some((instance) => instance.device === device && instance.life.phase === "ready");
    const wants = model.queue.size > 0 && isUp;
    if (wants && device.claim === null && device.holder === null && !device.isQuiet) device.claim = model;
    else if (!wants && device.claim === model) device.claim = null;
    else continue;
    reconsider(turn, device);
  }
}

/** A claim ends with the instance it was made for. */
export function unclaim(turn: Turn, { device, model }: InstanceRecord): void {
  if (device.claim !== model) return;
  device.claim = null;
  reconsider(turn, device);
}

function reconsider(turn: Turn, device: DeviceRecord): void {
  for (const exclusive of [false, true]) {
    for (const instance of device.instances) {
      if ((instance.model.spec.exclusive ?? false) !== exclusive) continue;
      refresh(turn, instance);
      if (instance.model.queue.size > 0) turn.state.dirty.add(instance.model);
    }
  }
}
