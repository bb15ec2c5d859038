import type { SchedulerSettings } from "../core/config.ts";
import { AssistantError, type ErrorCode } from "../core/errors.ts";
import type { Due } from "./due.ts";
import type { Effect } from "./events.ts";
import type { NodeRecord } from "./node.ts";
import { policies } from "./policies/index.ts";
import type { RoutingPolicy } from "./policies/policy.ts";
import type { Accounts } from "./queue/accounts.ts";
import type { DeviceRecord, InstanceRecord, ModelRecord, RequestRecord } from "./records.ts";
import { IndexedHeap } from "./structures/heap.ts";

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

/** What to check when its time has come. */
export type Occasion =
  | { readonly type: "deadline"; readonly request: RequestRecord }
  | { readonly type: "idle" | "phase" | "suspect" | "parked"; readonly instance: InstanceRecord }
  | { readonly type: "retry" | "serve" | "room"; readonly model: ModelRecord }
  | { readonly type: "pause"; readonly name: string };

/**
 * The scheduler's whole state. Changed only by `decide`. It has indexes instead of scans: an event touches only what it
 * concerns, whatever the number of instances and requests.
 */
export class SchedulerState {
  settings = unconfigured;
  closing = false;
  /** Whether `measure` effects are answered. If not, only the figures of the configuration are available. */
  readonly measures: boolean;
  /** A `measure` effect has not been answered yet. */
  measuring = false;
  readonly models = new Map<string, ModelRecord>();
  readonly instances = new Map<string, InstanceRecord>();
  readonly devices = new Map<string, DeviceRecord>();
  /** Devices with instances, including those that no longer exist. */
  readonly inUse = new Set<DeviceRecord>();
  /** Other nodes, by name, and this daemon's id in hop lists. */
  readonly nodes = new Map<string, NodeRecord>();
  nodeId = "";
  /** Waiting and in flight. */
  readonly requests = new Map<string, RequestRecord>();
  readonly dues = new IndexedHeap<Due<Occasion>>((a, b) => a.at < b.at);
  /** Planned starts, oldest first. */
  readonly plans = new Set<InstanceRecord>();
  /** Models whose requests wait for room, in the order in which they found none. */
  readonly blocked = new Set<ModelRecord>();
  /**
   * Models whose place is chosen when more figures are known, and how many instances are wanted regardless of requests.
   */
  readonly uninformed = new Map<ModelRecord, number>();
  /** CPUs on which instances became busy or idle in this decision. */
  readonly lending = new Set<DeviceRecord>();
  /** Models whose supply or demand changed in this decision. */
  readonly dirty = new Set<ModelRecord>();
  /** Counts changes of the room; see `ModelRecord.placement`. `roomChanged`: in this decision. */
  roomEpoch = 0;
  roomChanged = false;
  serial = 0;
  /** Requests that had a slot and released it. */
  served = 0;
  /** Requests that got a slot here, in total. */
  dispatches = 0;
  /** A model requires exclusive use of its device. */
  hasExclusive = false;
  /** What tenants received, by the devices on which they received it. */
  readonly accounts = new Map<string, Accounts>();
  /** Waiting requests by tenant, over all models; no entry if there are none. */
  readonly queuedByTenant = new Map<string, number>();

  constructor(measures: boolean) {
    this.measures = measures;
  }

  /**
   * Counts of instances with a live process, of those after all pending decisions, and of the pinned ones among these.
   */
  count(which: "live" | "future" | "pinned"): number {
    let count = 0;
    for (const { taken } of this.inUse) count += taken[which].count;
    return count;
  }

  get policy(): RoutingPolicy {
    return policies[this.settings.policy];
  }

  /** Waiting requests of all models. */
  get queued(): number {
    let queued = 0;
    for (const { queue } of this.models.values()) queued += queue.size;
    return queued;
  }
}

/** An empty state: no models until the first `configured`. */
export const createState = (measures = false): SchedulerState => new SchedulerState(measures);

/** When a `tick` is needed, epoch milliseconds, or null. */
export const nextDueAt = (state: SchedulerState): number | null => state.dues.peek()?.at ?? null;

/** A decision in progress: the state, its time, and its effects so far. */
export interface Turn {
  readonly state: SchedulerState;
  /** Epoch milliseconds. */
  readonly now: number;
  readonly effects: Effect[];
}

export function arm(turn: Turn, due: Due<Occasion>, at: number): void {
  due.at = at;
  turn.state.dues.update(due);
}

export const disarm = (turn: Turn, due: Due<Occasion>): void => turn.state.dues.remove(due);

export const refusal = (
  code: ErrorCode,
  message: string,
  remedy: string | null = null,
  retryAfterS: number | null = null,
): AssistantError => new AssistantError(code, message, { remedy, retryAfterS });
