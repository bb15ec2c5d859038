import type { StopCause } from "../core/fleet.ts";
import type { Refusal } from "./effects.ts";
import { unclaim, vacate } from "./exclusive.ts";
import { grantHostCache } from "./host-cache.ts";
import { bytesOn } from "./memory.ts";
import { account, refreshEvictable, roomChanged, setPhase } from "./places.ts";
import { emptyPrefixes } from "./prefix/prefix-index.ts";
import { rate } from "./rates.ts";
import { holdSlot } from "./reserve.ts";
import type { DeviceRecord, Due, InstanceRecord, ModelRecord, Purpose, RequestRecord, SchedulerState } from "./state.ts";
import { Group } from "./structures/roster.ts";
import { TokenMeter } from "./structures/token-meter.ts";
import { threadRequest } from "./thread-request.ts";
import { arm, disarm, refusal, type Turn } from "./turn.ts";

/** How much longer than its own start time-out the fleet may be silent about an order before we take it as not given. */
const ORDER_GRACE_MS = 10_000;

/** Registers an instance that is to start as soon as there is room: `order` gives the order. */
export function plan(turn: Turn, model: ModelRecord, device: DeviceRecord, purpose: Purpose): InstanceRecord {
  const { state } = turn;
  // The new start takes the place, and the name, of one that failed here.
  let pinOverride: boolean | null = null;
  for (const former of model.instances) {
    if (former.phase !== "failed" || former.device !== device) continue;
    pinOverride = former.pinOverride;
    // Who orders a start before its time does so on purpose; a stop makes the fleet forget the pause.
    if (former.retryAt > turn.now) turn.effects.push({ type: "stop", instanceId: former.id, cause: "stopped" });
    remove(turn, former);
    break;
  }
  const instance = createInstance(state, model, device, purpose);
  instance.pinOverride = pinOverride;
  instance.bytes = bytesOn(model, device);
  state.instances.set(instance.id, instance);
  model.instances.add(instance);
  model.membership += 1;
  device.instances.add(instance);
  state.plans.add(instance);
  setPhase(turn, instance, "planned");
  // Plans are looked at once all that this event leads to is decided; there may be room already.
  state.roomChanged = true;
  return instance;
}

/** Gives the order to start. The caller has seen to the room. */
export function order(turn: Turn, instance: InstanceRecord): void {
  const { state, now } = turn;
  const { model, device } = instance;
  state.plans.delete(instance);
  const threads = Math.max(1, Math.min(Math.floor(state.grantThreads(threadRequest(state, instance))), threadsLeft(state, device)));
  const hostCacheMib = grantHostCache(state, instance);
  instance.hostCacheMib = hostCacheMib;
  instance.startedAt = now;
  account(turn, instance, (record) => {
    record.threads = threads;
    record.phase = "ordered";
  });
  arm(turn, instance.phaseDue, now + state.settings.startTimeoutMs + ORDER_GRACE_MS);
  turn.effects.push({ type: "start", order: { instanceId: instance.id, model: model.spec, device: device.device, threads, hostCacheMib } });
}

/** What the governor may grant at most: one thread is kept for each other instance that has a place and no order yet. */
function threadsLeft(state: SchedulerState, device: DeviceRecord): number {
  if (!device.isCpu) return state.settings.threadBudget;
  return state.settings.threadBudget - Math.max(device.liveThreads, device.futureThreads - 1);
}

/**
 * Ends an instance: at once when it is idle or not up, else when its requests have ended or the drain time-out has
 * passed. It takes no new work from this moment. With `restart` it starts again, with the model's settings of then.
 */
export function leave(turn: Turn, instance: InstanceRecord, cause: StopCause, restart = false): void {
  if (instance.phase === "planned") {
    if (!restart) remove(turn, instance);
    return;
  }
  if (instance.leaving !== null) {
    account(turn, instance, (record) => {
      record.restart = restart;
    });
    return;
  }
  if (instance.phase === "failed") {
    turn.effects.push({ type: "stop", instanceId: instance.id, cause });
    remove(turn, instance);
    return;
  }
  const wasReady = instance.phase === "ready";
  account(turn, instance, (record) => {
    record.leaving = cause;
    record.restart = restart;
    if (wasReady) record.phase = "draining";
  });
  if (wasReady) turn.effects.push({ type: "drain", instanceId: instance.id });
  if (instance.inFlight.size === 0) stopNow(turn, instance);
  // Who gives way to another model ends its answers first, however long they are; nobody has asked for a stop.
  else if (cause !== "evicted") arm(turn, instance.phaseDue, turn.now + turn.state.settings.drainTimeoutMs);
}

/** Stops a leaving instance; requests that it still has are lost. */
export function stopNow(turn: Turn, instance: InstanceRecord): void {
  const cause = instance.leaving ?? "stopped";
  loseRequests(turn, instance, `Instance ${instance.id} was stopped (${cause}) before the answer had ended`, "engine_stopped");
  turn.effects.push({ type: "stop", instanceId: instance.id, cause });
  setPhase(turn, instance, "stopping");
  // The fleet kills what does not stop; there is nothing to wait for by the clock.
  disarm(turn, instance.phaseDue);
}

/** Takes the slots away from all requests of an instance. `engine_stopped` where that was the intention: nobody is to try at once what was just ended. */
export function loseRequests(turn: Turn, instance: InstanceRecord, message: string, code: "engine_lost" | "engine_stopped" = "engine_lost"): void {
  const lost: Refusal = refusal(code, message, "Send the request again.", 1);
  for (const request of instance.inFlight) {
    turn.state.requests.delete(request.facts.id);
    turn.effects.push({ type: "lost", requestId: request.facts.id, instanceId: instance.id, refusal: lost });
  }
  for (const request of instance.inFlight) {
    holdSlot(instance, request, -1);
    vacate(turn, instance, request);
  }
  instance.inFlight.clear();
  instance.prefillTokens = 0;
  instance.decodeTokens = 0;
  instance.unanswered = 0;
}

/** Forgets an instance that has no process. */
export function remove(turn: Turn, instance: InstanceRecord): void {
  const { state } = turn;
  setPhase(turn, instance, "gone");
  unclaim(turn, instance);
  for (const due of [instance.idle, instance.phaseDue, instance.suspect, instance.parkedDue]) disarm(turn, due);
  instance.model.prefixes.clear(instance);
  instance.model.instances.delete(instance);
  instance.model.membership += 1;
  state.instances.delete(instance.id);
  state.plans.delete(instance);
  if (instance.model.removed && instance.model.instances.size === 0) state.models.delete(instance.model.name);
  roomChanged(turn);
}

/** Takes a waiting request out of its queue. */
export function unqueue(turn: Turn, request: RequestRecord): void {
  const { model } = request;
  if (!model.queue.remove(request)) return;
  request.parkedOn?.parked.delete(request);
  request.parkedOn = null;
  const { queuedByTenant } = turn.state;
  turn.state.queued -= 1;
  const left = (queuedByTenant.get(request.tenant) ?? 1) - 1;
  if (left > 0) queuedByTenant.set(request.tenant, left);
  else queuedByTenant.delete(request.tenant);
  if (request.deadline !== null) disarm(turn, request.deadline);
  turn.state.dirty.add(model);
  if (model.queue.size === 0) demandChanged(turn, model);
}

export function rejectWaiting(turn: Turn, request: RequestRecord, refused: Refusal): void {
  unqueue(turn, request);
  turn.state.requests.delete(request.facts.id);
  turn.effects.push({ type: "reject", requestId: request.facts.id, refusal: refused });
}

export function rejectAll(turn: Turn, model: ModelRecord, refused: Refusal): void {
  for (const request of model.queue) rejectWaiting(turn, request, refused);
}

/** The model's queue went from empty to not empty, or back: what loads for it is wanted, or no longer. */
export function demandChanged(turn: Turn, model: ModelRecord): void {
  for (const instance of model.coming) refreshEvictable(turn, instance);
}

function createInstance(state: SchedulerState, model: ModelRecord, device: DeviceRecord, purpose: Purpose): InstanceRecord {
  state.serial += 1;
  const due = (type: "idle" | "phase" | "suspect" | "parked"): Due => ({
    at: 0,
    heapIndex: -1,
    what: {
      type,
      get instance() {
        return instance;
      },
    },
  });
  const instance: InstanceRecord = {
    id: freeId(state, model.name, device.id),
    model,
    device,
    serial: state.serial,
    heapIndex: -1,
    phase: "gone",
    leaving: null,
    restart: false,
    held: false,
    purpose,
    bytes: 0,
    shortSince: 0,
    threads: 1,
    hostCacheMib: 0,
    slots: model.spec.load.slots,
    contextTokens: model.spec.load.contextTokens,
    inFlight: new Group(),
    prefillTokens: 0,
    decodeTokens: 0,
    unanswered: 0,
    prefilledAt: 0,
    promptEndedAt: 0,
    prefillRate: rate(),
    decodeRate: rate(),
    parked: new Set(),
    parkedDue: due("parked"),
    rank: 0,
    lastDispatch: 0,
    startedAt: 0,
    readyAt: 0,
    retryAt: 0,
    lastUsedAt: 0,
    pinOverride: null,
    evictable: false,
    suspect: due("suspect"),
    idle: due("idle"),
    phaseDue: due("phase"),
    prefixes: emptyPrefixes(),
    decodeMeter: new TokenMeter(),
    prefillMeter: new TokenMeter(),
    served: 0,
  };
  return instance;
}

function freeId(state: SchedulerState, model: string, device: string): string {
  const first = `${model}@${device}`;
  if (!state.instances.has(first)) return first;
  for (let number = 2; ; number++) {
    const id = `${first}#${number}`;
    if (!state.instances.has(id)) return id;
  }
}
