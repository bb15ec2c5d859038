import { hasThread } from "./grants.ts";
import { Use } from "./life.ts";
import { bytesOn, fitsBeside } from "./memory.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord } from "./records.ts";
import type { SchedulerState, Turn } from "./state.ts";

/** A model loaded for a series of requests is kept for this many load times. */
const RESIDENCE_LOADS = 4;
/** A series of requests has ended when none came for this many times the usual interval. */
const DRY_GAPS = 3;
/** Assumed speed of a load that has not been measured: a gigabyte of weights per second. */
const BYTES_PER_MS = 1e6;

/**
 * An instance may be evicted if no work is lost by it: it is ready and idle, or it is still loading for requests that
 * no longer exist, or it is a restart that no request waits for. Never busy, never pinned, and never twice.
 */
export function isEvictable(instance: InstanceRecord): boolean {
  const { model, purpose, inFlight } = instance;
  if (inFlight.size > 0 || instance.isPinned) return false;
  const { phase } = instance.life;
  if (phase === "ready" || phase === "held") return true;
  if (model.queue.size > 0) return false;
  return phase === "planned"
    ? purpose !== "demand"
    : (phase === "ordered" || phase === "starting") && purpose === "demand";
}

/**
 * The instances to stop so that one more of `model` has room on `device`, least valuable first; empty if there is room;
 * null if no set of evictable instances is enough. Does not change the state.
 *
 * Room is computed from the state after all pending decisions, so that room being freed for one model is not given to a
 * second, and an instance that is leaving is never chosen again.
 */
export function victimsFor(
  turn: Turn,
  model: ModelRecord,
  device: DeviceRecord,
  mayEvict: boolean,
): InstanceRecord[] | null {
  const { state } = turn;
  const { settings } = state;
  const bytes = bytesOn(model, device);
  const fits = (victims: readonly InstanceRecord[]): boolean => {
    const { future } = device.taken;
    const left = new Use();
    left.add(future.count, future.bytes, future.threads);
    for (const victim of victims) if (victim.device === device) left.add(-1, -victim.bytes, -victim.threads);
    return hasThread(state, device, left, model.supply.future === 0) && fitsBeside(turn, device, bytes, left);
  };
  const hasPlace = (victims: readonly InstanceRecord[]): boolean =>
    state.count("future") - victims.length < settings.maxInstances;

  const victims: InstanceRecord[] = [];
  const gather = (from: DeviceRecord | null, isEnough: (victims: readonly InstanceRecord[]) => boolean): boolean => {
    if (isEnough(victims)) return true;
    for (const victim of mayEvict ? candidates(turn, model, from) : []) {
      if (!victims.includes(victim)) victims.push(victim);
      if (isEnough(victims)) return true;
    }
    return false;
  };
  if (!gather(device, fits)) return null;
  // A small victim chosen first may be unnecessary if a large one was added last.
  for (const victim of [...victims])
    if (fits(victims.filter((other) => other !== victim))) victims.splice(victims.indexOf(victim), 1);
  return gather(null, hasPlace) ? victims : null;
}

/**
 * The instances that may be stopped now for `waiter`, least valuable first: idle ones, then, when it has waited too
 * long, busy ones.
 */
function candidates(turn: Turn, waiter: ModelRecord, device: DeviceRecord | null): InstanceRecord[] {
  const { state, now } = turn;
  const free = (instance: InstanceRecord): boolean =>
    instance.model !== waiter && mayGoAt(turn, instance, waiter) <= now;
  const all = [...(device?.instances ?? state.instances.values())].filter(free);
  const idle = all.filter(isEvictable).sort((a, b) => worth(a, now) - worth(b, now) || a.lastUsedAt - b.lastUsedAt);
  if (now < overdueAt(turn, waiter)) return idle;
  const busy = all
    .filter((instance) => !isEvictable(instance))
    .sort((a, b) => a.inFlight.size - b.inFlight.size || a.readyAt - b.readyAt);
  return [...idle, ...busy];
}

/**
 * The value of an idle instance: its load time, which is more likely to be needed again the more recently it was used.
 */
function worth(instance: InstanceRecord, now: number): number {
  const reloadMs = instance.model.loadMs.value ?? instance.bytes / BYTES_PER_MS;
  return (reloadMs + 1) / (now - instance.lastUsedAt + 1);
}

const overdueAt = ({ state }: Turn, waiter: ModelRecord): number =>
  waiter.queue.waitingSince + state.settings.maxSwapWaitMs;

/** Epoch ms from which the instance may be stopped for the waiter; Infinity: time alone does not permit it. */
function mayGoAt(turn: Turn, instance: InstanceRecord, waiter: ModelRecord): number {
  const { maxSwapWaitMs } = turn.state.settings;
  if (isEvictable(instance)) return Math.min(overdueAt(turn, waiter), keptUntil(instance));
  const busy = instance.life.phase === "ready" && !instance.isPinned;
  return busy ? Math.max(overdueAt(turn, waiter), instance.readyAt + maxSwapWaitMs) : Number.POSITIVE_INFINITY;
}

/**
 * Until when an idle instance is kept although another model waits for it. Otherwise, models used alternately would
 * swap on every request. A model whose requests are further apart than a load takes gives way at once.
 */
function keptUntil({ model, readyAt }: InstanceRecord): number {
  const { arrivalGapMs, loadMs } = model;
  if (arrivalGapMs.value === null || loadMs.value === null || arrivalGapMs.value > loadMs.value) return 0;
  return Math.min(readyAt + RESIDENCE_LOADS * loadMs.value, model.lastArrivedAt + DRY_GAPS * arrivalGapMs.value);
}

/** When to look again for room that no event will announce; null: never. */
export function lookAgainAt(turn: Turn, waiter: ModelRecord): number | null {
  let at = Number.POSITIVE_INFINITY;
  for (const instance of turn.state.instances.values()) {
    if (instance.model === waiter) continue;
    const from = mayGoAt(turn, instance, waiter);
    if (from > turn.now) at = Math.min(at, from);
  }
  return Number.isFinite(at) ? at : null;
}

/** The instances above the limit that can be stopped now, after a reload lowered it. */
export function surplus(state: SchedulerState): InstanceRecord[] {
  const count = state.count("future") - state.settings.maxInstances;
  if (count <= 0) return [];
  return [...state.instances.values()]
    .filter(isEvictable)
    .sort((a, b) => a.lastUsedAt - b.lastUsedAt)
    .slice(0, count);
}
