import type { StopSignal } from "./command.ts";
import type { Device } from "./device.ts";
import type { InstanceTraits } from "./instance.ts";
import type { EngineId, ModelKind, ModelSpec } from "./model.ts";
import type { EngineProbe } from "./probe.ts";

/**
 * What is known of an engine without looking for it on this machine. Callers check traits instead of comparing names.
 */
export interface EngineTraits {
  /** Comes with Assistant. Other engines are built here (`assistant engine build`), or named by path. */
  readonly bundled: boolean;
  /** Saves and restores slots in a launch plan's `slotDir`. */
  readonly savesSlots: boolean;
  /** Keeps conversations that lost their slot in host memory (`host_cache_mib`). */
  readonly hasHostCache: boolean;
  /** Computes a batch in micro-batches (`ubatch_size`). */
  readonly hasMicroBatches: boolean;
  /** Takes arguments as the user wrote them (`extra_args`). */
  readonly takesExtraArgs: boolean;
  /** Checks the fields of requests itself, and may know others than llama.cpp's engines do. */
  readonly checksRequests: boolean;
  /**
   * Host memory of the program itself, without weights, cache and compute buffers, for each kind of model that it runs;
   * measured.
   */
  readonly programBytes: Readonly<Partial<Record<ModelKind, number>>>;
}

const engineTraits: Readonly<Record<EngineId, EngineTraits>> = {
  "llama-server": {
    bundled: false,
    savesSlots: true,
    hasHostCache: true,
    hasMicroBatches: true,
    takesExtraArgs: true,
    checksRequests: false,
    // Program, vocabulary, threads, HTTP: 34 MB when started, 40 MB after requests.
    programBytes: { chat: 40e6, embedding: 40e6, rerank: 40e6, transcription: 40e6 },
  },
  "node-llama-cpp": {
    bundled: true,
    savesSlots: false,
    hasHostCache: false,
    hasMicroBatches: false,
    takesExtraArgs: false,
    checksRequests: false,
    // Node, llama.cpp's library and, for text generation, a second copy of the vocabulary. Its heap grows and shrinks
    // by tens of MB.
    programBytes: { chat: 240e6, embedding: 160e6, rerank: 160e6 },
  },
  command: {
    bundled: true,
    savesSlots: false,
    hasHostCache: false,
    hasMicroBatches: false,
    takesExtraArgs: false,
    checksRequests: true,
    // What such a program takes is measured, or said in the model's file.
    programBytes: {},
  },
  speech: {
    bundled: true,
    savesSlots: false,
    hasHostCache: false,
    hasMicroBatches: false,
    takesExtraArgs: false,
    checksRequests: false,
    // Node and sherpa-onnx; espeak-ng is a small separate program.
    programBytes: { speech: 90e6 },
  },
};

/** Assumed where the engine is not chosen yet: `auto` prefers it. */
export const DEFAULT_ENGINE: EngineId = "llama-server";

/** Traits of an engine as the configuration names it. */
export const traitsOf = (engine: EngineId | "auto"): EngineTraits =>
  engineTraits[engine === "auto" ? DEFAULT_ENGINE : engine];

/** Whether the engine runs models of the kind; for `auto`, whether the resolved one may. */
export const runsKind = (engine: EngineId | "auto", kind: ModelKind): boolean =>
  engine === "command" || traitsOf(engine).programBytes[kind] !== undefined;

export type EngineAvailability =
  | ({
      readonly available: true;
      /** Program that is run; the Node binary for the embedded engine. */
      readonly path: string;
      readonly version: string;
      /** Backends it was built with, such as `cpu`, `cuda`. */
      readonly backends: readonly string[];
      /** A build of an earlier version of Assistant: what it was built with, and how to get a new one. */
      readonly outdated?: { readonly parts: string; readonly remedy: string };
    } & InstanceTraits)
  | { readonly available: false; readonly reason: string; readonly remedy: string };

/** Everything an engine needs to be started once. */
export interface LaunchPlan {
  readonly instanceId: string;
  readonly model: ModelSpec;
  readonly modelPath: string;
  /** Weights of the draft model, where the model has one. */
  readonly draftPath?: string;
  readonly device: Device;
  /** Threads granted by the governor. */
  readonly threads: number;
  /** A file with the number of threads to use from now on, at most `mostThreads`; absent: always `threads`. */
  readonly lending?: { readonly file: string; readonly mostThreads: number };
  /** Unix socket it must listen on; at most 100 bytes, ends in `.sock`. */
  readonly socketPath: string;
  /** Port on 127.0.0.1 that it must listen on instead, if the engine requires one (`listens`). */
  readonly port?: number;
  /** Directory in which slots may be saved and restored; absent: they never are. */
  readonly slotDir?: string;
}

/** A program to run. The fleet spawns it in a new process group. */
export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to a minimal base environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Directory it runs in; missing: the daemon's. */
  readonly cwd?: string;
  /** The signal that stops it, and its grace period in milliseconds; missing: SIGTERM, and the fleet's default. */
  readonly stop?: { readonly signal: StopSignal; readonly graceMs: number };
}

/** `ownListener`: only a process that the engine has started itself may be listening on its port. */
type Listening = { readonly type: "socket" } | { readonly type: "port"; readonly ownListener: boolean };
/** A voice. */
export interface Voice {
  /** What requests name it by. */
  readonly id: string;
  readonly name: string;
  /** BCP 47, as far as the voice follows it; null if not stated. */
  readonly language: string | null;
}

/**
 * A kind of program that can run a model. Knows nothing of scheduling and keeps no state about instances.
 * The engines of llama.cpp answer the same HTTP surface: docs/engines.md and test/conformance state it.
 */
export interface Engine {
  readonly id: EngineId;
  readonly traits: EngineTraits;
  /** Looks whether it can be used here. Cheap enough for every daemon start (tens of milliseconds); cached. */
  availability(): Promise<EngineAvailability>;
  /**
   * Checks whether this program supports the settings of the plan. Rejects with `config_invalid`, naming the setting.
   */
  check?(plan: LaunchPlan): Promise<void>;
  /**
   * Pure once `availability` said yes: the program and arguments that serve `plan`. Throws AssistantError on settings
   * it cannot honour.
   */
  launch(plan: LaunchPlan): ProcessSpec;
  /** Where instances of the model listen; missing: on the plan's socket. */
  listens?(model: ModelSpec): Listening;
  /** How to probe instances of the model; missing: through the interface of llama.cpp's engines. */
  probe?(model: ModelSpec): EngineProbe;
  /** The voices of a speech model, the default first, without starting it; missing: unknown to the engine. */
  voices?(model: ModelSpec, modelPath: string): Promise<readonly Voice[]>;
}
