import { createHash } from "node:crypto";
import { join } from "node:path";
import type { Timer } from "../core/clock.ts";
import type { Endpoint } from "../core/endpoint.ts";
import { DEFAULT_ENGINE, type ProcessSpec } from "../core/engine.ts";
import type { AssistantError } from "../core/errors.ts";
import type { StartOrder, StopCause } from "../core/fleet.ts";
import type { InstanceSnapshot, InstanceTraits } from "../core/instance.ts";
import type { EngineId } from "../core/model.ts";
import type { EngineProbe } from "../core/probe.ts";
import { logFileOf } from "./engine-log.ts";
import type { EngineProcess, Exit } from "./engine-process.ts";
import type { PortWatch } from "./port-listener.ts";
import type { FleetOptions } from "./ports.ts";
import type { SlotPlace, Successor } from "./slot-cache.ts";
import type { WatchedEngine } from "./watch.ts";

/** Messages from others. Only the owner loop acts on them. */
export type Order =
  | { readonly type: "start"; readonly order: StartOrder; readonly byOperator: boolean }
  | { readonly type: "drain" | "resume" | "restart" | "suspect" | "hurry" }
  | { readonly type: "stop"; readonly cause: StopCause; readonly graceMs: number | null }
  | { readonly type: "close"; readonly graceMs: number; readonly done: () => void };

/** Everything a start needs, prepared before the spawn. */
export interface PreparedLaunch {
  readonly engine: EngineId;
  readonly traits: InstanceTraits;
  readonly spec: ProcessSpec;
  readonly probe: EngineProbe;
  readonly endpoint: Endpoint;
  /** Its loopback port, released at its end; null: it has a socket. */
  readonly port: number | null;
  /** Whether only a process that it started may listen there. */
  readonly ownListener: boolean;
  /** Where its part of the log file begins. */
  readonly logStart: number;
  /** Where its conversations are saved; null: nowhere. */
  readonly slotPlace: SlotPlace | null;
}

/** An event in one life of the instance; events of an earlier life are dropped. */
export type News =
  | { readonly type: "prepared"; readonly launch: PreparedLaunch }
  | { readonly type: "not-prepared"; readonly error: AssistantError }
  | { readonly type: "up" | "start-timeout" | "grace-over" | "unkillable" }
  | { readonly type: "saved"; readonly names: readonly string[] }
  | { readonly type: "no-token" | "port-taken"; readonly reason: string }
  | { readonly type: "wedged"; readonly evidence: string }
  | { readonly type: "exited"; readonly process: EngineProcess; readonly exit: Exit };

/** From one start to the end of its process. */
export interface Life {
  readonly order: StartOrder;
  /** Ends everything that watches or waits for this life. */
  readonly over: AbortController;
  readonly timers: Timer[];
  /** Until it has spawned one: a process of an earlier life that was killed and has not exited. */
  process: EngineProcess | null;
  readySince: number | null;
  /** The options it was spawned with; null before. */
  launch: PreparedLaunch | null;
  /** Watches who listens on its port; null: it has none, or any process may. */
  portWatch: PortWatch | null;
  /** What was missing for readiness at the last check; null: nothing worth reporting. */
  lack: string | null;
  /** Names of the saved conversations it was given. */
  restored: readonly string[];
  /** While its conversations are saved; aborted if there is no time for that. */
  saving: AbortController | null;
  /** Between SIGTERM and SIGKILL, once a stop was ordered. */
  graceMs: number;
  /** Null until a stop is ordered. */
  stopCause: StopCause | null;
}

export type Message = Order | { readonly type: "news"; readonly life: Life; readonly news: News };

export const newLife = (order: StartOrder, lingering: EngineProcess | null): Life => ({
  order,
  over: new AbortController(),
  timers: [],
  process: lingering,
  readySince: null,
  launch: null,
  portWatch: null,
  lack: null,
  restored: [],
  saving: null,
  graceMs: 0,
  stopCause: null,
});

export function slotHolder({ over, launch }: Life, withinMs: number): Omit<Successor, "took"> | null {
  if (!launch?.slotPlace) return null;
  return {
    place: launch.slotPlace,
    endpoint: launch.endpoint,
    signal: AbortSignal.any([over.signal, AbortSignal.timeout(withinMs)]),
  };
}

/** Null while it has no process. */
export function watchedEngine(
  { process, launch, order, portWatch }: Life,
  { logFile }: InstanceFiles,
): WatchedEngine | null {
  if (process === null || launch === null) return null;
  const { endpoint, probe } = launch;
  const { model, device } = order;
  const computesOnCpu = device.vendor === "cpu";
  return { pid: process.pid, endpoint, probe, portWatch, kind: model.kind, logFile, computesOnCpu };
}

export function cancelTimers(life: Life): void {
  for (const timer of life.timers.splice(0)) timer.cancel();
}

/** The part of an instance's snapshot that comes from its order. */
export const loadFacts = ({ model, device, threads }: StartOrder) => ({
  model: model.name,
  device: device.id,
  slots: model.load.slots,
  contextTokens: model.load.contextTokens,
  threads,
});

/** Where an instance's files are. */
export interface InstanceFiles {
  readonly socketPath: string;
  readonly logFile: string;
  /** The number of threads that it may use now. */
  readonly threadsFile: string;
}

/** Ids may be long and contain slashes; a socket's path may not. */
export function filesOf(instanceId: string, options: FleetOptions): InstanceFiles {
  const name = createHash("sha256").update(instanceId).digest("hex").slice(0, 10);
  return {
    socketPath: join(options.runDir, `${name}.sock`),
    threadsFile: join(options.runDir, `${name}.threads`),
    logFile: logFileOf(options.logDir, instanceId),
  };
}

/** Of one width, so that an engine that reads it meanwhile finds a number. */
export const threadsText = (threads: number): string => String(threads).padEnd(7);

const NO_TRAITS: InstanceTraits = { noticesDisconnects: false, separatesCaches: false };

/** An instance before its first start. */
export const blankSnapshot = (order: StartOrder, { logFile }: InstanceFiles): InstanceSnapshot => ({
  ...loadFacts(order),
  logFile,
  endpoint: null,
  id: order.instanceId,
  engine: order.model.engine === "auto" ? DEFAULT_ENGINE : order.model.engine,
  traits: NO_TRAITS,
  state: "absent",
  pid: null,
  startedAt: null,
  readyAt: null,
  attempts: 0,
  retryAt: null,
  lastDeath: null,
  memoryBytes: null,
});
