import type { Device } from "./device.ts";
import type { Death, InstanceSnapshot } from "./instance.ts";
import type { ModelSpec } from "./model.ts";

export interface StartOrder {
  readonly instanceId: string;
  readonly model: ModelSpec;
  readonly device: Device;
  /** Its own threads. */
  readonly threads: number;
  /** The most it may use while others are idle (`lend`); missing: its own. */
  readonly mostThreads?: number;
  /** MiB of host memory for conversations without a slot, at most what the model asks for; that where it is missing. */
  readonly hostCacheMib?: number;
}

/** Causes for which the scheduler or an operator ends an instance. */
export type StopCause = Extract<Death["cause"], "stopped" | "evicted" | "idle" | "reload">;

/**
 * What the scheduler may ask of the fleet. Calls return at once; the result arrives as FleetEvents. An order that
 * does not fit the instance's state (start of a ready one, stop of an absent one) is ignored.
 */
export interface FleetPort {
  start(order: StartOrder): void;
  /** No new work will be sent; running requests continue. */
  drain(instanceId: string): void;
  /** Back from draining to ready. */
  resume(instanceId: string): void;
  /**
   * Threads it may use from now on: its own, and those of idle instances. An engine that cannot change them keeps its
   * own.
   */
  lend(instanceId: string, threads: number): void;
  /** SIGTERM to the process group, after `graceMs` SIGKILL; then `absent`. */
  stop(instanceId: string, cause: StopCause): void;
}

/** Every transition, in order. The snapshot is the state after it. */
export interface FleetTransition {
  readonly type: "transition";
  readonly from: InstanceSnapshot["state"];
  readonly snapshot: InstanceSnapshot;
}

/** A running instance has taken over conversations that another one of its model left. */
interface FleetTakeover {
  readonly type: "takeover";
  readonly snapshot: InstanceSnapshot;
  /** Names of the saved conversations, used last first. */
  readonly conversations: readonly string[];
}

export type FleetEvent = FleetTransition | FleetTakeover;
