import type { RoutingPolicyName, SchedulerSettings } from "../core/config.ts";
import type { Device } from "../core/device.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { StopCause } from "../core/fleet.ts";
import type { ModelSpec } from "../core/model.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import type { RequestFacts } from "../core/request.ts";
import type { Refusal } from "./effects.ts";
import type { InstancePrefixes, PrefixIndex, PreviousTurn, SleepingConversation } from "./prefix/prefix-index.ts";
import type { Accounts } from "./queue/accounts.ts";
import type { Queued } from "./queue/lanes.ts";
import type { RequestQueue } from "./queue/queue.ts";
import type { Average } from "./structures/average.ts";
import type { HeapItem, IndexedHeap } from "./structures/heap.ts";
import type { Group, Member, Roster } from "./structures/roster.ts";
import type { TokenMeter } from "./structures/token-meter.ts";
import type { GrantThreads } from "./threads.ts";

/** Bytes that one instance takes: one figure where it is the same everywhere, else by where it runs. */
export type MemoryNeed = number | { readonly cpuBytes: number; readonly gpuBytes: number };

/** Tokens and the time they took, both fading: their quotient weighs long prompts more than short ones, whose times are mostly overhead. */
export interface Rate {
  tokens: number;
  ms: number;
}

/** A moment at which something is to be looked at again. */
export interface Due extends HeapItem {
  at: number;
  readonly what:
    | { readonly type: "deadline"; readonly request: RequestRecord }
    | { readonly type: "idle" | "phase" | "suspect" | "parked"; readonly instance: InstanceRecord }
    | { readonly type: "retry" | "serve" | "room"; readonly model: ModelRecord }
    | { readonly type: "remote"; readonly remote: RemoteRecord };
}

/** A request from its arrival to its end. */
export interface RequestRecord extends Queued<RequestRecord>, Member {
  readonly facts: RequestFacts;
  readonly priority: number;
  readonly tenant: string;
  readonly model: ModelRecord;
  readonly arrivedAt: number;
  readonly turnAt: number;
  readonly startBy: number;
  /** Prompt tokens that were cached nowhere when it came. */
  readonly expectedPrefill: number;
  readonly deadline: Due | null;
  /** The instance it waits for while it could begin elsewhere. */
  parkedOn: InstanceRecord | null;
  /** Null while it waits, and while another machine has it. */
  instance: InstanceRecord | null;
  /** The other machine that has it, and whether that had the model loaded then. */
  remote: RemoteRecord | null;
  remoteLoaded: boolean;
  dispatchedAt: number;
  /** When the first token is expected; see rates.ts. */
  prefilledAt: number;
  /** What the engine took for the prompt without those before it; null before the first token. */
  prefillMs: number | null;
  /** No other prompt was on the instance when it came. */
  alone: boolean;
  /** What the tenant was charged for it; see dispatch.ts. */
  charged: number;
  /** Outstanding work on the instance, tokens; see load.ts. */
  prefillTokens: number;
  decodeTokens: number;
  /** Cached tokens the index promised, and the conversation's last turn on this instance. */
  promisedTokens: number;
  previousTurn: PreviousTurn | null;
  /** Has been told its place at least once. */
  noticed: boolean;
  answering: boolean;
}

/**
 * What the scheduler has decided about an instance. It runs ahead of the fleet's state: an ordered stop counts from the
 * moment of the order, so that nothing is sent into a stopping process.
 *
 *   planned -> ordered -> starting -> ready <-> draining -> stopping -> (gone)
 *      |          |           |         |          |
 *      v          v           v         v          v
 *   (gone)      failed <------+---------+----------+      failed -> ordered
 *
 * planned: waits for room. ordered: the fleet has the order and has not answered yet.
 */
export type Phase = "planned" | "ordered" | "starting" | "ready" | "draining" | "stopping" | "failed" | "gone";

/** Why an instance was started: one that was started for waiting requests alone may be given up when they have gone. */
export type Purpose = "demand" | "preload" | "restart";

export interface InstanceRecord extends HeapItem {
  readonly id: string;
  readonly model: ModelRecord;
  readonly device: DeviceRecord;
  /** Order of creation; breaks ties, so that equal histories decide equally. */
  readonly serial: number;
  phase: Phase;
  /** Set once it has been decided that the process ends; it takes no new work from then on. */
  leaving: StopCause | null;
  /** Starts again once it is gone. */
  restart: boolean;
  /** An operator drains it: it stays up and takes no new work. */
  held: boolean;
  purpose: Purpose;
  /** Memory on the device, estimated or measured, whichever is more; 0 where it is not known. */
  bytes: number;
  /** While planned: since when its memory should be free and is not; 0: not so. */
  shortSince: number;
  /** Granted with the order; 1 until then. */
  threads: number;
  /** MiB of host memory for conversations, granted with the order; 0 until then. */
  hostCacheMib: number;
  slots: number;
  /** Tokens of one slot. */
  contextTokens: number;
  readonly inFlight: Group<RequestRecord>;
  prefillTokens: number;
  decodeTokens: number;
  /** Requests in flight without a first token, and when they are expected to have theirs (epoch ms). */
  unanswered: number;
  prefilledAt: number;
  /** When the last one had its first token. */
  promptEndedAt: number;
  /** Prompt tokens ÷ the time that the engine was at work on them alone. */
  readonly prefillRate: Rate;
  readonly decodeRate: Rate;
  /** Requests that wait for this instance in particular, and when to look at them again. */
  readonly parked: Set<RequestRecord>;
  readonly parkedDue: Due;
  /** Order among available instances; the policy's. */
  rank: number;
  /** Number of the last dispatch, counted over all. */
  lastDispatch: number;
  startedAt: number;
  /** When it last came up. */
  readyAt: number;
  /** While failed: the fleet ignores a start before this. */
  retryAt: number;
  /** When the last request ended; the time it got ready before that. */
  lastUsedAt: number;
  /** An operator's word; null: the model's setting. */
  pinOverride: boolean | null;
  /** Member of the sets of instances that may be evicted. */
  evictable: boolean;
  /** Its last answer broke off; it may be dead without our knowing. No work until the fleet spoke or this has passed. */
  suspect: Due;
  readonly idle: Due;
  readonly phaseDue: Due;
  readonly prefixes: InstancePrefixes;
  readonly decodeMeter: TokenMeter;
  readonly prefillMeter: TokenMeter;
  served: number;
}

/** A model on another machine: what was measured of it, and what it is believed to have cached. */
export interface RemotePlace {
  /** Ours. */
  inFlight: number;
  /** Prompt tokens of ours that have not had their first token. */
  prefillTokens: number;
  readonly prefillRate: Rate;
  readonly decodeRate: Rate;
  /** What an answer takes longer than its engine's work, milliseconds: the way there and back, and waits there. */
  readonly overheadMs: Average;
  /** The same where the model was not loaded. */
  readonly loadMs: Average;
  readonly prefixes: InstancePrefixes;
}

/** Another machine that takes requests. */
export interface RemoteRecord {
  readonly name: string;
  facts: RemoteCandidate;
  readonly inFlight: Group<RequestRecord>;
  /** By model. */
  readonly places: Map<string, RemotePlace>;
  /** Requests of others, by model, at the last measurement. */
  others: ReadonlyMap<string, number>;
  /** By model: no work before `until`, after a refusal or a failure. */
  readonly pauses: Map<string, { readonly until: number; readonly lengthMs: number }>;
  /** When the next pause is over. */
  readonly due: Due;
  /** Requests it got ÷ weight: who is furthest behind its share has the least. */
  turns: number;
}

export interface ModelRecord {
  readonly name: string;
  spec: ModelSpec;
  /** No longer configured; kept while instances of it are leaving. */
  removed: boolean;
  /** What one instance takes; null: not known. */
  memory: MemoryNeed | null;
  /** An estimate of it is being made. */
  memoryPending: boolean;
  /** Devices it may run on now. */
  eligible: readonly DeviceRecord[];
  readonly queue: RequestQueue<RequestRecord>;
  readonly instances: Set<InstanceRecord>;
  /** Instances on their way up: planned, ordered, starting, or leaving in order to start again. */
  readonly coming: Set<InstanceRecord>;
  /** Instances that are ready and take work. */
  serving: number;
  /** Slots of the instances that are up and stay. */
  slots: number;
  /** Instances there will be once everything decided has happened. */
  future: number;
  /** Changes when an instance comes or goes. */
  membership: number;
  /** Requests on its instances, and those by tenant. */
  inFlight: number;
  readonly inFlightByTenant: Map<string, number>;
  /** Who asked last, and until when (epoch ms) more than one tenant is to be reckoned with. */
  lastTenant: string | null;
  othersUntil: number;
  /** Of all its instances; for those that have not worked yet. */
  readonly prefillRate: Rate;
  readonly decodeRate: Rate;
  /** Tokens that an instance keeps of conversations, slots and host memory together; null: as many as its slots hold. */
  cacheTokens: number | null;
  lastArrivedAt: number;
  /** When room is to be looked for again although nothing happens. */
  readonly roomDue: Due;
  /** When waiting requests are to be looked at although nothing happens. */
  readonly serveDue: Due;
  /** Ready instances with a free slot, in the policy's order, then least work first. */
  readonly available: IndexedHeap<InstanceRecord>;
  readonly prefixes: PrefixIndex<InstanceRecord>;
  /** Which prefixes other machines hold, and their rate, all together. */
  readonly remotePrefixes: PrefixIndex<RemotePlace>;
  readonly remotePrefill: Rate;
  /** Saved when their instances ended, by the fleet's names, saved first of all at first: what others may be given. */
  readonly sleeping: Map<string, SleepingConversation>;
  pinOverride: boolean | null;
  /** No start before this; `failure` says why. */
  readonly retry: Due;
  failure: { readonly message: string; readonly code: ErrorCode; readonly waitersStay: boolean } | null;
  /** What the last look for room said, and at which state of the room; no need to look again until it changes. */
  placement: { readonly epoch: number; readonly growth: boolean; readonly refusal: Refusal | null } | null;
  noticedAt: number;
  readonly averages: {
    /** Milliseconds a request holds a slot. */
    readonly holdMs: Average;
    readonly completionTokens: Average;
    /** Prompt tokens not cached plus completion tokens of one request. */
    readonly workTokens: Average;
    /** Milliseconds from the order to ready. */
    readonly loadMs: Average;
    /** Milliseconds between two arrivals. */
    readonly arrivalGapMs: Average;
  };
}

export interface DeviceRecord {
  readonly id: string;
  device: Device;
  /** Threads are a resource of the CPU alone; an instance on a GPU needs next to none. */
  readonly isCpu: boolean;
  /** Bytes our instances may use together; null: not known, no limit. */
  budgetBytes: number | null;
  /** When that was last measured; -Infinity: before something that has changed it. */
  measuredAt: number;
  readonly instances: Set<InstanceRecord>;
  /** Least recently used first. */
  readonly evictable: Set<InstanceRecord>;
  /** Requests on all its instances. */
  inFlight: number;
  /** The request that has the device to itself. */
  holder: RequestRecord | null;
  /** The model that waits to have it to itself: nothing else begins there until then. */
  claim: ModelRecord | null;
  /** Processes that live, their bytes and threads. */
  live: number;
  liveBytes: number;
  liveThreads: number;
  /** The same once everything decided has happened. */
  future: number;
  futureBytes: number;
  futureThreads: number;
  /** What those of the future ones use that may not be evicted. */
  pinnedBytes: number;
  pinnedThreads: number;
}

/**
 * Everything the scheduler knows. `decide` alone changes it. Indexes instead of scans: an event touches what it
 * concerns, whatever the number of instances and requests.
 */
export interface SchedulerState {
  settings: SchedulerSettings;
  policy: RoutingPolicy;
  closing: boolean;
  readonly grantThreads: GrantThreads;
  /** Whether `measure` effects are answered. If not, the figures that came with the configuration are all there is. */
  readonly measures: boolean;
  /** A `measure` effect has not been answered yet. */
  measuring: boolean;
  readonly models: Map<string, ModelRecord>;
  readonly instances: Map<string, InstanceRecord>;
  readonly devices: Map<string, DeviceRecord>;
  /** Other machines, by name. */
  readonly remotes: Map<string, RemoteRecord>;
  /** This daemon's id in hop lists. */
  nodeId: string;
  /** Waiting and in flight. */
  readonly requests: Roster<RequestRecord>;
  queued: number;
  readonly dues: IndexedHeap<Due>;
  /** Planned starts, oldest first. */
  readonly plans: Set<InstanceRecord>;
  /** Models whose requests wait for room, in the order in which they found none. */
  readonly blocked: Set<ModelRecord>;
  /** Models whose place is chosen once more is known, and how many instances are wanted besides what requests ask for. */
  readonly uninformed: Map<ModelRecord, number>;
  /** Least recently used first. */
  readonly evictable: Set<InstanceRecord>;
  /** Processes that live, that will once everything decided has happened, and of those the pinned. */
  live: number;
  future: number;
  pinned: number;
  /** Models whose supply or demand changed in this decision. */
  readonly dirty: Set<ModelRecord>;
  /** Counts changes of the room; see `ModelRecord.placement`. */
  roomEpoch: number;
  /** The room changed in this decision. */
  roomChanged: boolean;
  serial: number;
  /** Requests that had a slot and gave it back. */
  served: number;
  /** Models that need their device alone. */
  exclusiveModels: number;
  /** Requests that got a slot, ever. */
  dispatches: number;
  /** What tenants got, by the devices on which they got it. */
  readonly accounts: Map<string, Accounts>;
  /** Waiting requests by tenant, over all models; no entry for none. */
  readonly queuedByTenant: Map<string, number>;
}

/** What is to become of a request that could be served. */
export type Routing =
  | { readonly type: "dispatch"; readonly instance: InstanceRecord; readonly cachedTokens: number }
  /** To wait for this instance is quicker than to begin elsewhere now. */
  | { readonly type: "wait-for"; readonly instance: InstanceRecord; readonly untilMs: number }
  /** Every instance with a free slot still has prompts to work off; look again then (epoch ms). */
  | { readonly type: "hold"; readonly untilMs: number };

/**
 * How the instance for a request is chosen. A policy keeps no state of its own: what it needs is in the records, so that
 * the same decisions can be replayed. `rank` orders the instances with a free slot, the least first; equal ranks go to
 * the one with the least work.
 */
export interface RoutingPolicy {
  readonly name: RoutingPolicyName;
  /** Whether, within a tenant and a priority, short prompts go before long ones. */
  readonly shortestFirst: boolean;
  rank(instance: InstanceRecord): number;
  /** Called only while an instance of the model has a free slot. `now` is epoch ms; an `urgent` request waits for nobody. */
  route(model: ModelRecord, request: RequestRecord, now: number, maxLoad: number, urgent: boolean): Routing;
}
