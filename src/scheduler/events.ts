import type { SchedulerSettings } from "../core/config.ts";
import type { Device } from "../core/device.ts";
import type { AssistantError } from "../core/errors.ts";
import type { FleetEvent, StartOrder, StopCause } from "../core/fleet.ts";
import type { ModelSpec } from "../core/model.ts";
import type { RemoteCandidate } from "../core/remote.ts";
import type { RequestFacts, RequestOutcome, Waiting } from "../core/request.ts";

/** Memory that one instance uses: one figure if it is the same everywhere, otherwise per kind of device. */
export type MemoryNeed = number | { readonly cpuBytes: number; readonly gpuBytes: number };

/** Measured memory of an instance. */
export interface MemoryUse {
  /** All its resident memory on the device, weights included. */
  readonly bytes: number;
  /**
   * The part of it that is missing from the device's free memory. On a CPU this is less than `bytes`: pages of a mapped
   * weights file count as available.
   */
  readonly heldBytes: number;
}

/** Operations for operators. `start` of a model loads it without a request. */
export type OperatorAction = "start" | "stop" | "restart" | "drain" | "resume" | "pin" | "unpin";

export type OperationTarget = { readonly instance: string } | { readonly model: string };

/** Everything the scheduler needs that does not come from requests or instances. */
export interface SchedulerConfig {
  readonly models: readonly ModelSpec[];
  readonly devices: readonly Device[];
  readonly settings: SchedulerSettings;
  /** Memory of one instance of a model on its device, by model name. A missing entry: unknown, always fits. */
  readonly memoryBytes?: ReadonlyMap<string, MemoryNeed>;
  /** Models whose estimate will follow with another `configured`. */
  readonly memoryPending?: ReadonlySet<string>;
  /**
   * Prompt tokens that one instance keeps in its slots and its host cache, by model name. A missing entry: as many as
   * its slots hold.
   */
  readonly cacheTokens?: ReadonlyMap<string, number>;
}

/** Other machines, as measured now. */
export interface RemoteChange {
  /** This daemon's own id in hop lists. */
  readonly nodeId: string;
  readonly candidates: readonly RemoteCandidate[];
  /** Models that no file of this machine configures; their `nodes` is set. */
  readonly models: readonly ModelSpec[];
  /** True if `candidates` and `models` contain only new or changed entries. Missing: they are complete. */
  readonly part?: { readonly gone: readonly string[]; readonly lostModels: readonly string[] };
}

/** All events. `decide` receives them one at a time, in the order in which they happened. */
export type SchedulerEvent =
  | { readonly type: "arrived"; readonly facts: RequestFacts }
  /** The client disconnected. In the queue this affects nobody else; in flight it releases the slot. */
  | { readonly type: "cancelled"; readonly requestId: string }
  | { readonly type: "first-token"; readonly requestId: string }
  | { readonly type: "finished"; readonly requestId: string; readonly outcome: RequestOutcome }
  | { readonly type: "instance"; readonly event: FleetEvent }
  /** The time reported by `nextDueAt` has come. Decides one thing that is due: to be posted until nothing is. */
  | { readonly type: "tick" }
  /** The response to `measure`: free memory of the devices, and memory used by each instance, by id. */
  | { readonly type: "devices"; readonly devices: readonly Device[]; readonly use: ReadonlyMap<string, MemoryUse> }
  /** Start or reload. */
  | { readonly type: "configured"; readonly config: SchedulerConfig }
  | { readonly type: "operate"; readonly operation: OperatorAction; readonly target: OperationTarget }
  /** Stop a loaded model after this time without a request (null: never), until it is unloaded. */
  | { readonly type: "kept"; readonly model: string; readonly idleTtlMs: number | null }
  /** Other machines were measured, added or removed. */
  | { readonly type: "remotes"; readonly change: RemoteChange }
  /** The daemon is stopping: waiting requests are refused, and nothing new starts. */
  | { readonly type: "closing" };

/**
 * What `decide` orders, in order. Effects are carried out before the next event is decided, so the state already treats
 * them as done.
 */
export type Effect =
  /** The request has a slot on an instance, given by id, or goes to another node, `remote:NAME`. */
  | { readonly type: "dispatch"; readonly requestId: string; readonly targetId: string; readonly queuedMs: number }
  | { readonly type: "start"; readonly order: StartOrder }
  /** Measure the free memory of the devices; `devices` is the response. */
  | { readonly type: "measure" }
  /** From now on, the instance may use so many threads: its own, and those of idle ones. */
  | { readonly type: "lend"; readonly instanceId: string; readonly threads: number }
  | { readonly type: "drain"; readonly instanceId: string }
  | { readonly type: "resume"; readonly instanceId: string }
  | { readonly type: "stop"; readonly instanceId: string; readonly cause: StopCause }
  /** A waiting request ends without a slot. */
  | { readonly type: "reject"; readonly requestId: string; readonly refusal: AssistantError }
  /** A request in flight has lost its slot: the instance crashed or was stopped. */
  | { readonly type: "lost"; readonly requestId: string; readonly instanceId: string; readonly refusal: AssistantError }
  | { readonly type: "waiting"; readonly requestId: string; readonly wait: Waiting };
