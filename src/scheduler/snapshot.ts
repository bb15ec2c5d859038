import type { InstanceRecord, ModelRecord } from "./records.ts";
import type { SchedulerState } from "./state.ts";
import { expectedWaitMs, waitEstimate } from "./waits.ts";

/** The state of one model. Times are epoch milliseconds. */
export interface ModelLoad {
  readonly queued: number;
  readonly inFlight: number;
  /** Instances that are ready and accept work. */
  readonly serving: number;
  /** Whether an instance is running, starting or planned, or will be as soon as its memory is known. */
  readonly coming: boolean;
  readonly pinned: boolean;
  /** Expected wait of a request that arrives now, milliseconds; 0 if a slot is free; null before any measurement. */
  readonly expectedWaitMs: number | null;
  /** Why the model cannot be served now, or null. */
  readonly error: string | null;
  /** When the next start is attempted after a failure, or null. */
  readonly retryAt: number | null;
}

/** The state of one instance. */
export interface InstanceLoad {
  readonly model: string;
  readonly inFlight: number;
  /** Work in flight ÷ capacity; see docs/scheduler.md. */
  readonly load: number;
  /** Tokens per second of the whole instance over the last five seconds; null until an answer has ended. */
  readonly decodeTokensPerSecond: number | null;
  readonly prefillTokensPerSecond: number | null;
  readonly requestsServed: number;
  /** When the last request ended; null before the first. */
  readonly lastUsedAt: number | null;
  readonly idleStopAt: number | null;
  readonly pinned: boolean;
}

export interface SchedulerSnapshot {
  readonly queued: number;
  readonly inFlight: number;
  /** Requests that had a slot and released it, since the start. */
  readonly requestsServed: number;
  readonly models: ReadonlyMap<string, ModelLoad>;
  /** By instance id. */
  readonly instances: ReadonlyMap<string, InstanceLoad>;
  /** Devices in exclusive use: request ids by device id. */
  readonly exclusive: ReadonlyMap<string, string>;
}

/** A copy for readers; visits every model and instance, so it is for people and metrics, not for every request. */
export function snapshotOf(state: SchedulerState, now: number): SchedulerSnapshot {
  const models = new Map<string, ModelLoad>();
  for (const model of state.models.values()) if (!model.removed) models.set(model.name, modelLoad(state, model, now));
  const instances = new Map<string, InstanceLoad>();
  for (const instance of state.instances.values()) instances.set(instance.id, instanceLoad(instance, now));
  const exclusive = new Map<string, string>();
  for (const { id, holder } of state.devices.values()) if (holder !== null) exclusive.set(id, holder);
  const { queued, requests, served } = state;
  return { queued, inFlight: requests.size - queued, requestsServed: served, models, instances, exclusive };
}

function modelLoad(state: SchedulerState, model: ModelRecord, now: number): ModelLoad {
  const free = model.queue.size === 0 && model.available.size > 0;
  return {
    queued: model.queue.size,
    inFlight: model.inFlight,
    serving: model.supply.serving,
    coming: model.supply.future > 0 || state.uninformed.has(model),
    pinned: model.isPinned,
    expectedWaitMs: free ? 0 : expectedWaitMs(waitEstimate(model, now), model.queue.size + 1),
    error: model.supply.serving > 0 ? null : (model.failure?.message ?? model.placement?.refusal?.message ?? null),
    retryAt: model.retry.armed ? model.retry.at : null,
  };
}

function instanceLoad(instance: InstanceRecord, now: number): InstanceLoad {
  return {
    model: instance.model.name,
    inFlight: instance.inFlight.size,
    load: instance.load,
    decodeTokensPerSecond: instance.decodeMeter.perSecond(now),
    prefillTokensPerSecond: instance.prefillMeter.perSecond(now),
    requestsServed: instance.served,
    lastUsedAt: instance.served > 0 ? instance.lastUsedAt : null,
    idleStopAt: instance.idle.armed ? instance.idle.at : null,
    pinned: instance.isPinned,
  };
}
