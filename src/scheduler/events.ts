import type { SchedulerSettings } from "../core/config.ts";
import type { Device } from "../core/device.ts";
import type { AssistantError } from "../core/errors.ts";
import type { FleetEvent, StartOrder, StopCause } from "../core/fleet.ts";
import type { ModelSpec } from "../core/model.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import type { RequestFacts, RequestOutcome, Waiting } from "../core/request.ts";

/** Bytes that one instance takes: one figure where it is the same everywhere, else by where it runs. */
export type MemoryNeed = number | { readonly cpuBytes: number; readonly gpuBytes: number };

/** What an instance was measured to use. */
export interface MemoryUse {
  /** All that is resident on its device, weights included. */
  readonly bytes: number;
  /**
   * What of it is missing in the device's free memory. On a CPU less than `bytes`: pages of a mapped weights file count
   * as available to whoever else needs them.
   */
  readonly heldBytes: number;
}

/** What an operator may ask for. `start` of a model loads it without a request. */
export type OperatorAction = "start" | "stop" | "restart" | "drain" | "resume" | "pin" | "unpin";

export type OperationTarget = { readonly instance: string } | { readonly model: string };

/** Everything the scheduler works with that does not come from requests or instances. */
export interface SchedulerConfig {
  readonly models: readonly ModelSpec[];
  readonly devices: readonly Device[];
  readonly settings: SchedulerSettings;
  /** Bytes that one instance of a model takes on its device, by model name. A missing entry: not known, always fits. */
  readonly memoryBytes?: ReadonlyMap<string, MemoryNeed>;
  /** Models whose figure is on its way with another `configured`. */
  readonly memoryPending?: ReadonlySet<string>;
  /**
   * Prompt tokens that one instance keeps in its slots and its host cache, by model name. A missing entry: what its
   * slots hold.
   */
  readonly cacheTokens?: ReadonlyMap<string, number>;
}

/** Other machines, as measured now. */
export interface RemoteChange {
  /** This daemon's own id in hop lists. */
  readonly nodeId: string;
  readonly candidates: readonly RemoteCandidate[];
  /** Models that no file of this machine names; their `nodes` is set. */
  readonly models: readonly ModelSpec[];
  /** Set where `candidates` and `models` are those alone that are new or differ. Missing: they are all there are. */
  readonly part?: { readonly gone: readonly string[]; readonly lostModels: readonly string[] };
}

/** What may happen. All of it reaches `decide` one at a time, in the order in which it happened. */
export type SchedulerEvent =
  | { readonly type: "arrived"; readonly facts: RequestFacts }
  /** The client left. In the queue this costs nobody anything; with a slot it gives the slot back. */
  | { readonly type: "cancelled"; readonly requestId: string }
  | { readonly type: "first-token"; readonly requestId: string }
  | { readonly type: "finished"; readonly requestId: string; readonly outcome: RequestOutcome }
  | { readonly type: "instance"; readonly event: FleetEvent }
  /** The time `nextDueAt` named has come. Decides one thing that is due: to be posted until nothing is. */
  | { readonly type: "tick" }
  /** The answer to `measure`: free memory of the devices, and what each instance uses, by id. */
  | { readonly type: "devices"; readonly devices: readonly Device[]; readonly use: ReadonlyMap<string, MemoryUse> }
  /** Start or reload. */
  | { readonly type: "configured"; readonly config: SchedulerConfig }
  | { readonly type: "operate"; readonly operation: OperatorAction; readonly target: OperationTarget }
  /** A model that is loaded is to be stopped after this time without a request (null: never), until it is unloaded. */
  | { readonly type: "kept"; readonly model: string; readonly idleTtlMs: number | null }
  /** Other machines were measured, or came or went. */
  | { readonly type: "remotes"; readonly change: RemoteChange }
  /** The daemon stops: nobody waits any longer, nothing new begins. */
  | { readonly type: "closing" };

/**
 * What `decide` wants done, in order. Effects are carried out before the next event is decided, so the state already
 * takes them as done.
 */
export type Effect =
  /** The request has a slot on an instance, by its id, or goes to another node, `remote:NAME`. */
  | { readonly type: "dispatch"; readonly requestId: string; readonly targetId: string; readonly queuedMs: number }
  | { readonly type: "start"; readonly order: StartOrder }
  /** The free memory of the devices is wanted; `devices` answers. */
  | { readonly type: "measure" }
  | { readonly type: "drain"; readonly instanceId: string }
  | { readonly type: "resume"; readonly instanceId: string }
  | { readonly type: "stop"; readonly instanceId: string; readonly cause: StopCause }
  /** A waiting request ends without a slot. */
  | { readonly type: "reject"; readonly requestId: string; readonly refusal: AssistantError }
  /** A request that had a slot has lost it: the instance died or was stopped under it. */
  | { readonly type: "lost"; readonly requestId: string; readonly instanceId: string; readonly refusal: AssistantError }
  | { readonly type: "waiting"; readonly requestId: string; readonly wait: Waiting };
