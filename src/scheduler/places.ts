import { type InstanceRecord, isPinned, type Phase } from "./state.ts";
import { arm, disarm, type Turn } from "./turn.ts";

const hasProcess = (phase: Phase): boolean => phase === "ordered" || phase === "starting" || phase === "ready" || phase === "draining" || phase === "stopping";

/**
 * Changes something about an instance that the counts of places and memory depend on (phase, leaving, restart, held,
 * pinned, bytes, slots), and keeps the counts right. Nothing else changes those fields of an instance that is registered.
 */
export function account(turn: Turn, instance: InstanceRecord, change: (instance: InstanceRecord) => void): void {
  count(turn, instance, -1);
  change(instance);
  count(turn, instance, 1);
  turn.state.dirty.add(instance.model);
  refresh(turn, instance);
  if (instance.phase !== "ready" || instance.leaving !== null) unpark(turn, instance);
}

/** The same for several instances and a change that concerns them all, such as a setting of their model. */
export function accountAll(turn: Turn, instances: Iterable<InstanceRecord>, change: () => void): void {
  const list = [...instances];
  for (const instance of list) count(turn, instance, -1);
  change();
  for (const instance of list) {
    count(turn, instance, 1);
    turn.state.dirty.add(instance.model);
    refresh(turn, instance);
  }
}

export const setPhase = (turn: Turn, instance: InstanceRecord, phase: Phase): void =>
  account(turn, instance, (record) => {
    record.phase = phase;
  });

/** Blocked models look again at the end of this decision. */
export function roomChanged(turn: Turn): void {
  turn.state.roomEpoch += 1;
  turn.state.roomChanged = true;
}

function count(turn: Turn, instance: InstanceRecord, sign: 1 | -1): void {
  const { state } = turn;
  const { model, device, phase } = instance;
  const staying = instance.leaving === null || instance.restart;
  if (hasProcess(phase)) {
    state.live += sign;
    device.live += sign;
    device.liveBytes += sign * instance.bytes;
    device.liveThreads += sign * instance.threads;
    if (sign < 0) roomChanged(turn);
  }
  if (staying && (hasProcess(phase) || phase === "planned")) {
    state.future += sign;
    model.future += sign;
    device.future += sign;
    device.futureBytes += sign * instance.bytes;
    device.futureThreads += sign * instance.threads;
    if (isPinned(instance)) {
      state.pinned += sign;
      device.pinnedBytes += sign * instance.bytes;
      device.pinnedThreads += sign * instance.threads;
    }
  }
  if (phase === "ready" && instance.leaving === null) {
    model.slots += sign * instance.slots;
    if (!instance.held) model.serving += sign;
  }
  const coming = instance.leaving === null ? phase === "planned" || phase === "ordered" || phase === "starting" : instance.restart && phase !== "gone";
  if (sign > 0 && coming) model.coming.add(instance);
  else model.coming.delete(instance);
}

/** Brings the indexes that an instance is found by up to date. Call after its requests or its phase changed. */
export function refresh(turn: Turn, instance: InstanceRecord): void {
  const { model, device } = instance;
  const takesWork = instance.phase === "ready" && instance.leaving === null && !instance.held && instance.suspect.heapIndex < 0 && isAdmitted(instance);
  instance.rank = turn.state.policy.rank(instance);
  if (takesWork && instance.inFlight.size < instance.slots) model.available.update(instance);
  else model.available.remove(instance);
  refreshEvictable(turn, instance);
  const ttl = model.spec.idleTtlMs;
  const idles = instance.phase === "ready" && instance.leaving === null && instance.inFlight.size === 0;
  if (idles && ttl !== null && !isPinned(instance)) {
    const at = instance.lastUsedAt + ttl;
    if (instance.idle.heapIndex < 0 || instance.idle.at !== at) arm(turn, instance.idle, at);
  } else if (instance.idle.heapIndex >= 0) disarm(turn, instance.idle);
  if (instance.phase === "gone") device.instances.delete(instance);
}

/** Who waits for this instance in particular is looked at again: it has changed, or is not what it was hoped to be. */
export function unpark(turn: Turn, instance: InstanceRecord): void {
  disarm(turn, instance.parkedDue);
  if (instance.parked.size === 0) return;
  for (const request of instance.parked) {
    request.parkedOn = null;
    instance.model.queue.unpark(request);
  }
  instance.parked.clear();
  turn.state.dirty.add(instance.model);
}

/** Whether the device's other work, and who needs it alone, let the instance take a request; see exclusive.ts. */
function isAdmitted({ device, model }: InstanceRecord): boolean {
  if (device.holder !== null) return false;
  return model.spec.exclusive ? device.inFlight === 0 : device.claim === null;
}

/**
 * An instance may be evicted when nobody would miss work by it: it is up and idle, or it is still loading for requests
 * that have gone since. Never busy, never pinned, and never twice: what is leaving is not here.
 */
export function refreshEvictable(turn: Turn, instance: InstanceRecord): void {
  const { phase, model } = instance;
  const up = phase === "ready" || (phase === "draining" && instance.held);
  const unwanted = (phase === "ordered" || phase === "starting") && instance.purpose === "demand" && model.queue.size === 0;
  // A restart that nobody waits for must not keep a place from those who do.
  const patient = phase === "planned" && instance.purpose !== "demand" && model.queue.size === 0;
  const evictable = (up || unwanted || patient) && instance.leaving === null && instance.inFlight.size === 0 && !isPinned(instance);
  if (evictable === instance.evictable) return;
  instance.evictable = evictable;
  for (const set of [turn.state.evictable, instance.device.evictable]) {
    if (evictable) set.add(instance);
    else set.delete(instance);
  }
  if (evictable) roomChanged(turn);
}
