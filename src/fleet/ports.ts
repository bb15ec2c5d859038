import type { Clock } from "../core/clock.ts";
import type { Documents } from "../core/documents.ts";
import type { Engine } from "../core/engine.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { ModelSpec } from "../core/model.ts";
import type { EngineProbe } from "../core/probe.ts";
import type { SpawnEngine } from "./engine-process.ts";
import type { SlotCache } from "./slot-cache.ts";

/** The part of a logger that the fleet uses; pino's fits. */
interface FleetLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** All in milliseconds but the sizes. */
export interface FleetSettings {
  /** From the order to a real token. */
  readonly startTimeoutMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly stopGraceMs: number;
  /** What saving or restoring the conversations of an instance may take. */
  readonly slotsMs: number;
  /** After SIGKILL, before a process is given up as unkillable. */
  readonly killWaitMs: number;
  /** Busy slots without any progress for so long: the engine is wedged. */
  readonly wedgeAfterMs: number;
  /** Between two looks at a running engine. */
  readonly pollMs: number;
  /** What one look may take. */
  readonly lookTimeoutMs: number;
  /** What a token may take on an engine that is suspected and has nothing to do. */
  readonly suspectTokenMs: number;
  /** An engine's log file that is larger is moved aside; three old ones are kept. */
  readonly maxLogBytes: number;
}

export const defaultFleetSettings: FleetSettings = {
  startTimeoutMs: 600_000,
  stopGraceMs: 5_000,
  slotsMs: 10_000,
  killWaitMs: 10_000,
  wedgeAfterMs: 60_000,
  pollMs: 3_000,
  lookTimeoutMs: 2_000,
  suspectTokenMs: 15_000,
  maxLogBytes: 10 * 2 ** 20,
};

export interface FleetOptions {
  /** The engine that runs this model here; rejects with an AssistantError where there is none. */
  engineFor(model: ModelSpec): Promise<Engine>;
  /** The weights on this machine; rejects with `model_not_pulled` where they are missing. */
  resolveWeights(model: ModelSpec): Promise<string>;
  /** The weights of its draft model, or null where it has none; rejects as `resolveWeights` does. */
  resolveDraft?(model: ModelSpec): Promise<string | null>;
  readonly probe: EngineProbe;
  readonly clock: Clock;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
  /** Where the list of running engines is kept. */
  readonly documents: Documents;
  /** Sockets. Must exist, mode 0700, and be short: a Unix socket's path has at most 100 bytes. */
  readonly runDir: string;
  readonly logDir: string;
  readonly log: FleetLog;
  readonly settings?: Partial<FleetSettings>;
  /** What engines inherit, from `engineEnvironment`. */
  readonly baseEnv: Readonly<Record<string, string>>;
  /**
   * Told of every transition, in order, while nothing else of that instance can happen; of takeovers at any time. Must
   * not throw.
   */
  onEvent(event: FleetEvent): void;
  /** Keeps conversations of instances that are not up; without it they are lost with the instance. */
  readonly slotCache?: SlotCache;
  /** Whether what a stopped instance of the model held will still fit the next one. */
  isCurrent?(model: ModelSpec): boolean;
  /** How a process is made; the real one unless a test says otherwise. */
  readonly spawn?: SpawnEngine;
}
