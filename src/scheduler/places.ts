import type { Life } from "./life.ts";
import { type DeviceRecord, type InstanceRecord, type ModelRecord, QUEUED } from "./records.ts";
import { arm, disarm, type Turn } from "./state.ts";

/** Moves an instance to another phase. Nothing else changes `life`. */
export function setLife(turn: Turn, instance: InstanceRecord, life: Life): void {
  instance.life = life;
  changed(turn, instance);
}

/**
 * Call after life, pins, bytes, threads or slots of an instance may have changed. Updates everything derived from them.
 */
export function changed(turn: Turn, instance: InstanceRecord): void {
  instance.device.recount();
  instance.model.recount();
  turn.state.dirty.add(instance.model);
  roomChanged(turn);
  refresh(turn, instance);
  if (instance.life.phase !== "ready") unpark(turn, instance);
}

/** The same for all instances of a model, after a change of its settings. */
export function modelChanged(turn: Turn, model: ModelRecord): void {
  for (const instance of model.instances) changed(turn, instance);
}

/** Blocked models are considered again at the end of this decision. */
export function roomChanged({ state }: Turn): void {
  state.roomEpoch += 1;
  state.roomChanged = true;
}

/** Updates the indexes that contain the instance. Call after its requests or its life changed. */
export function refresh(turn: Turn, instance: InstanceRecord): void {
  const { model, device, life, suspect, idle } = instance;
  if (device.isCpu && instance.isBusy !== instance.wasBusy) {
    instance.wasBusy = instance.isBusy;
    turn.state.lending.add(device);
  }
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

/** Requests parked for this instance are considered again: it has changed, or is not what was expected. */
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

/** Whether the instance may take a request, considering the device's other work and exclusive claims. */
function isAdmitted({ device, model }: InstanceRecord): boolean {
  if (device.holder !== null) return false;
  return model.spec.exclusive ? device.isQuiet : device.claim === null;
}

/** A request starts running on the instance. */
export function occupy(turn: Turn, { device, model }: InstanceRecord, requestId: string): void {
  if (!turn.state.hasExclusive) return;
  if (model.spec.exclusive) {
    device.holder = requestId;
    device.claim = null;
  }
  reconsider(turn, device);
}

/**
 * A request of the instance has ended. Call before its model is considered again, so that the others have their turn
 * first.
 */
export function vacate(turn: Turn, { device }: InstanceRecord, requestId: string): void {
  if (!turn.state.hasExclusive) return;
  if (device.holder === requestId) device.holder = null;
  if (device.isQuiet) reconsider(turn, device);
}

/**
 * A busy device never becomes empty by itself for an exclusive model with waiting requests: the model claims it, so
 * that no other work starts there until it has had its turn. After one turn, the requests that waited for it go first.
 */
export function claim(turn: Turn, model: ModelRecord): void {
  if (!model.spec.exclusive) return;
  for (const device of new Set([...model.instances].map((instance) => instance.device))) {
    // If the model has several instances there, one that is ready is enough: otherwise they would claim and unclaim
    // forever.
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
