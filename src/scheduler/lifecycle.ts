import type { AssistantError } from "../core/errors.ts";
import type { StopCause } from "../core/fleet.ts";
import { hostCacheFor, mostThreadsFor, threadsFor } from "./grants.ts";
import { bytesOn } from "./memory.ts";
import { roomChanged, setLife, unclaim, vacate } from "./places.ts";
import { type DeviceRecord, InstanceRecord, type ModelRecord, type Purpose, type RequestRecord } from "./records.ts";
import { arm, disarm, refusal, type SchedulerState, type Turn } from "./state.ts";
import type { Work } from "./target.ts";

/** How much longer than its start timeout the fleet may be silent about an order before it counts as lost. */
const ORDER_GRACE_MS = 10_000;

/** Registers an instance that is to start as soon as there is room; `order` starts it. */
export function plan(
  turn: Turn,
  model: ModelRecord,
  device: DeviceRecord,
  purpose: Purpose,
  pinOverride: boolean | null = null,
): void {
  const { state } = turn;
  let pin = pinOverride;
  // The new start replaces one that failed here, and takes over its name.
  for (const former of model.instances) {
    if (former.life.phase !== "failed" || former.device !== device) continue;
    pin ??= former.pinOverride;
    // A start ordered before that time is intentional; a stop makes the fleet forget the delay.
    if (former.life.retryAt > turn.now) turn.effects.push({ type: "stop", instanceId: former.id, cause: "stopped" });
    remove(turn, former);
    break;
  }
  state.serial += 1;
  const instance = new InstanceRecord(freeId(state, model.name, device.id), state.serial, model, device, purpose);
  instance.pinOverride = pin;
  instance.bytes = bytesOn(model, device);
  state.instances.set(instance.id, instance);
  model.instances.add(instance);
  device.instances.add(instance);
  state.inUse.add(device);
  // Plans are checked after all consequences of this event are decided; there may already be room.
  state.plans.add(instance);
  setLife(turn, instance, { phase: "planned", shortSince: null });
}

/** Orders the start. The caller has checked the room. */
export function order(turn: Turn, instance: InstanceRecord): void {
  const { state, now } = turn;
  const { id: instanceId, model, device } = instance;
  state.plans.delete(instance);
  const threads = threadsFor(state, instance);
  const mostThreads = mostThreadsFor(state, instance, threads);
  const hostCacheMib = hostCacheFor(state, instance);
  Object.assign(instance, { threads, mostThreads, lentThreads: threads, hostCacheMib, startedAt: now });
  setLife(turn, instance, { phase: "ordered" });
  arm(turn, instance.phaseDue, now + state.settings.startTimeoutMs + ORDER_GRACE_MS);
  turn.effects.push({
    type: "start",
    order: { instanceId, model: model.spec, device: device.device, threads, mostThreads, hostCacheMib },
  });
}

/**
 * Stops an instance: at once if it is idle or not ready, otherwise when its requests have ended or the drain timeout
 * has passed. It accepts no new work from now on. With `restart` it is started again with the settings current then.
 */
export function leave(turn: Turn, instance: InstanceRecord, cause: StopCause, restart = false): void {
  const { life } = instance;
  switch (life.phase) {
    case "planned":
      if (!restart) remove(turn, instance);
      return;
    case "failed":
      turn.effects.push({ type: "stop", instanceId: instance.id, cause });
      remove(turn, instance);
      return;
    case "leaving":
      setLife(turn, instance, { ...life, restart });
      return;
    default:
  }
  setLife(turn, instance, { phase: "leaving", cause, restart, stopping: false });
  if (life.phase === "ready") turn.effects.push({ type: "drain", instanceId: instance.id });
  if (instance.inFlight.size === 0) stopNow(turn, instance);
  // An instance that gives way to another model finishes its answers first, however long they are: no operator asked
  // for a stop.
  else if (cause !== "evicted") arm(turn, instance.phaseDue, turn.now + turn.state.settings.drainTimeoutMs);
}

/** Stops a leaving instance; its remaining requests are lost. */
export function stopNow(turn: Turn, instance: InstanceRecord): void {
  const { life } = instance;
  if (life.phase !== "leaving") return;
  loseRequests(
    turn,
    instance,
    `Instance ${instance.id} was stopped (${life.cause}) before the answer had ended`,
    "engine_stopped",
  );
  turn.effects.push({ type: "stop", instanceId: instance.id, cause: life.cause });
  setLife(turn, instance, { ...life, stopping: true });
  // The fleet kills an instance that does not stop, so no timer is needed.
  disarm(turn, instance.phaseDue);
}

/**
 * Takes the slots from all requests of an instance. `engine_stopped` if the stop was intended: such requests must not
 * be retried at once.
 */
export function loseRequests(
  turn: Turn,
  instance: InstanceRecord,
  message: string,
  code: "engine_lost" | "engine_stopped" = "engine_lost",
): void {
  const lost: AssistantError = refusal(code, message, "Send the request again.", 1);
  for (const work of [...instance.inFlight]) {
    const { id } = work.facts;
    turn.state.requests.delete(id);
    turn.effects.push({ type: "lost", requestId: id, instanceId: instance.id, refusal: lost });
    work[Symbol.dispose]();
    vacate(turn, instance, id);
  }
}

/** Forgets an instance that has no process. */
export function remove(turn: Turn, instance: InstanceRecord): void {
  const { state } = turn;
  const { model, device } = instance;
  setLife(turn, instance, { phase: "gone" });
  unclaim(turn, instance);
  for (const due of [instance.idle, instance.phaseDue, instance.suspect, instance.parkedDue]) disarm(turn, due);
  model.prefixes.clear(instance);
  model.instances.delete(instance);
  device.instances.delete(instance);
  device.recount();
  if (device.instances.size === 0) state.inUse.delete(device);
  state.instances.delete(instance.id);
  state.plans.delete(instance);
  if (model.instances.size > 0) return;
  model.idleTtlOverride = undefined;
  if (model.removed) state.models.delete(model.name);
}

/** The request is now in flight. */
export function grant(turn: Turn, request: RequestRecord, work: Work): void {
  request.stage = work;
  turn.effects.push({
    type: "dispatch",
    requestId: request.facts.id,
    targetId: work.target.id,
    queuedMs: turn.now - request.arrivedAt,
  });
}

/**
 * Removes a waiting request from its queue. Unless the model is being served right now, it is marked, because others
 * move up.
 */
export function unqueue(turn: Turn, request: RequestRecord): void {
  const { model, stage, tenant } = request;
  if (!model.queue.remove(request)) return;
  model.waitingReads.delete(request);
  if (stage.type === "parked") stage.on.parked.delete(request);
  const { queuedByTenant } = turn.state;
  const left = (queuedByTenant.get(tenant) ?? 1) - 1;
  if (left > 0) queuedByTenant.set(tenant, left);
  else queuedByTenant.delete(tenant);
  if (request.deadline !== null) disarm(turn, request.deadline);
  if (model.queue.size === 0) demandChanged(turn, model);
}

export function rejectWaiting(turn: Turn, request: RequestRecord, refused: AssistantError): void {
  unqueue(turn, request);
  turn.state.dirty.add(request.model);
  turn.state.requests.delete(request.facts.id);
  turn.effects.push({ type: "reject", requestId: request.facts.id, refusal: refused });
}

export function rejectAll(turn: Turn, model: ModelRecord, refused: AssistantError): void {
  for (const request of model.queue) rejectWaiting(turn, request, refused);
}

/** The model's queue became non-empty or empty: what is loading for it is now needed, or may be evicted. */
export function demandChanged(turn: Turn, model: ModelRecord): void {
  if (model.supply.coming.length > 0) roomChanged(turn);
}

function freeId(state: SchedulerState, model: string, device: string): string {
  const first = `${model}@${device}`;
  let id = first;
  for (let number = 2; state.instances.has(id); number++) id = `${first}#${number}`;
  return id;
}
