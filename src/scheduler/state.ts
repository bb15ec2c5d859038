import type { SchedulerSettings } from "../core/config.ts";
import type { Device } from "../core/device.ts";
import type { ModelSpec } from "../core/model.ts";
import { policies } from "./policies/index.ts";
import { PrefixIndex } from "./prefix/prefix-index.ts";
import { RequestQueue } from "./queue/queue.ts";
import { rate } from "./rates.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord, SchedulerState } from "./records.ts";
import { average } from "./structures/average.ts";
import { IndexedHeap } from "./structures/heap.ts";
import { Roster } from "./structures/roster.ts";
import type { GrantThreads } from "./threads.ts";

export type * from "./records.ts";

const unconfigured: SchedulerSettings = {
  maxInstances: 0,
  maxLoad: 1,
  maxQueuedPerModel: 0,
  maxQueuedPerTenant: 0,
  policy: "expected-time",
  maxWaitMs: 0,
  maxSwapWaitMs: 0,
  tenantWeights: new Map(),
  threadBudget: 1,
  startTimeoutMs: 0,
  wedgeAfterMs: 0,
  drainTimeoutMs: 0,
};

/** An empty state: no models until the first `configured`. */
export function createState(grantThreads: GrantThreads, measures = false): SchedulerState {
  return {
    settings: unconfigured,
    policy: policies[unconfigured.policy],
    closing: false,
    grantThreads,
    measures,
    measuring: false,
    models: new Map(),
    instances: new Map(),
    devices: new Map(),
    remotes: new Map(),
    nodeId: "",
    requests: new Roster(),
    queued: 0,
    dues: new IndexedHeap((a, b) => a.at < b.at),
    plans: new Set(),
    blocked: new Set(),
    uninformed: new Map(),
    evictable: new Set(),
    live: 0,
    future: 0,
    pinned: 0,
    dirty: new Set(),
    roomEpoch: 0,
    roomChanged: false,
    serial: 0,
    served: 0,
    exclusiveModels: 0,
    dispatches: 0,
    accounts: new Map(),
    queuedByTenant: new Map(),
  };
}

/** Epoch milliseconds at which a `tick` is wanted, or null. */
export const nextDueAt = (state: SchedulerState): number | null => state.dues.peek()?.at ?? null;

export function createModel(spec: ModelSpec): ModelRecord {
  const model: ModelRecord = {
    name: spec.name,
    spec,
    removed: false,
    memory: null,
    memoryPending: false,
    eligible: [],
    queue: new RequestQueue(),
    instances: new Set(),
    coming: new Set(),
    serving: 0,
    slots: 0,
    future: 0,
    membership: 0,
    inFlight: 0,
    inFlightByTenant: new Map(),
    lastTenant: null,
    othersUntil: 0,
    prefillRate: rate(),
    decodeRate: rate(),
    cacheTokens: null,
    lastArrivedAt: 0,
    roomDue: {
      at: 0,
      heapIndex: -1,
      what: {
        type: "room",
        get model() {
          return model;
        },
      },
    },
    serveDue: {
      at: 0,
      heapIndex: -1,
      what: {
        type: "serve",
        get model() {
          return model;
        },
      },
    },
    available: new IndexedHeap(lessWork),
    prefixes: new PrefixIndex(),
    remotePrefixes: new PrefixIndex(),
    remotePrefill: rate(),
    sleeping: new Map(),
    pinOverride: null,
    retry: {
      at: 0,
      heapIndex: -1,
      what: {
        type: "retry",
        get model() {
          return model;
        },
      },
    },
    failure: null,
    placement: null,
    noticedAt: 0,
    averages: { holdMs: average(), completionTokens: average(), workTokens: average(), loadMs: average(), arrivalGapMs: average() },
  };
  return model;
}

export const createDevice = (device: Device): DeviceRecord => ({
  id: device.id,
  device,
  isCpu: device.vendor === "cpu",
  budgetBytes: null,
  measuredAt: Number.NEGATIVE_INFINITY,
  instances: new Set(),
  evictable: new Set(),
  inFlight: 0,
  holder: null,
  claim: null,
  live: 0,
  liveBytes: 0,
  liveThreads: 0,
  future: 0,
  futureBytes: 0,
  futureThreads: 0,
  pinnedBytes: 0,
  pinnedThreads: 0,
});

/** Order among instances that could take a request: the policy's, then least work, then least taken slots, then the most recently used. */
function lessWork(a: InstanceRecord, b: InstanceRecord): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank;
  const work = a.prefillTokens + a.decodeTokens - b.prefillTokens - b.decodeTokens;
  if (work !== 0) return work < 0;
  const taken = a.inFlight.size * b.slots - b.inFlight.size * a.slots;
  if (taken !== 0) return taken < 0;
  if (a.lastUsedAt !== b.lastUsedAt) return a.lastUsedAt > b.lastUsedAt;
  return a.serial < b.serial;
}

export const isPinned = (instance: InstanceRecord): boolean => instance.pinOverride ?? isModelPinned(instance.model);

export const isModelPinned = (model: ModelRecord): boolean => model.pinOverride ?? model.spec.pinned;
