import type { Clock } from "../core/clock.ts";
import type { Documents } from "../core/documents.ts";
import type { Engine } from "../core/engine.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { ModelSpec } from "../core/model.ts";
import type { EngineProbe } from "../core/probe.ts";
import type { SpawnEngine } from "./engine-process.ts";
import type { SlotCache } from "./slot-cache.ts";

/** The part of a logger that the fleet uses; compatible with pino. */
interface FleetLog {
  info(facts: object, message: string): void;
  warn(facts: object, message: string): void;
  error(facts: object, message: string): void;
}

/** Milliseconds, except for sizes. */
export interface FleetSettings {
  /** From the order to a real token. */
  readonly startTimeoutMs: number;
  /** Between SIGTERM and SIGKILL. */
  readonly stopGraceMs: number;
  /** Limit for saving or restoring the conversations of an instance. */
  readonly slotsMs: number;
  /** After SIGKILL, before a process counts as unkillable. */
  readonly killWaitMs: number;
  /** Busy slots without progress for this long mean that the engine is wedged. */
  readonly wedgeAfterMs: number;
  /** Interval between checks of a running engine. */
  readonly pollMs: number;
  /** Timeout of one check. */
  readonly lookTimeoutMs: number;
  /** Timeout for a token from a suspected engine that is idle. */
  readonly suspectTokenMs: number;
  /** Larger engine log files are rotated; three old ones are kept. */
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
  /** The engine that runs this model here; rejects with an AssistantError if there is none. */
  engineFor(model: ModelSpec): Promise<Engine>;
  /** The weights on this machine; rejects with `model_not_pulled` if they are missing. */
  resolveWeights(model: ModelSpec): Promise<string>;
  /** The weights of its draft model, or null if it has none; rejects like `resolveWeights`. */
  resolveDraft?(model: ModelSpec): Promise<string | null>;
  readonly probe: EngineProbe;
  readonly clock: Clock;
  /** 0 to 1, for jitter. */
  readonly random: () => number;
  /** Where the list of running engines is stored. */
  readonly documents: Documents;
  /** Sockets. Must exist, with mode 0700, and be short: the path of a Unix socket has at most 100 bytes. */
  readonly runDir: string;
  readonly logDir: string;
  readonly log: FleetLog;
  readonly settings?: Partial<FleetSettings>;
  /** The environment of engines, from `engineEnvironment`. */
  readonly baseEnv: Readonly<Record<string, string>>;
  /**
   * Notified of every transition, in order, while no other event of that instance can happen, and of takeovers at any
   * time. Must not throw.
   */
  onEvent(event: FleetEvent): void;
  /** Keeps conversations of stopped instances; without it they are lost with the instance. */
  readonly slotCache?: SlotCache;
  /** Whether what a stopped instance of the model held will fit the next one. */
  isCurrent?(model: ModelSpec): boolean;
  /** Creates processes; replaced only in tests. */
  readonly spawn?: SpawnEngine;
}
