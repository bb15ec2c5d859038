import type { Device } from "./device.ts";
import type { EngineId, ModelSpec } from "./model.ts";

export type EngineAvailability =
  | {
      readonly available: true;
      /** Program that is run; the Node binary for the embedded engine. */
      readonly path: string;
      readonly version: string;
      /** Backends it was built with, such as `cpu`, `cuda`. */
      readonly backends: readonly string[];
      /**
       * Whether it stops work soon after a client has left even when other clients keep it busy.
       * A stock llama-server does not, and is driven by streaming instead (gateway/relay).
       */
      readonly noticesDepartedClients: boolean;
      /** Whether prompts with different `x-cache-scope` headers share nothing that is cached (gateway/relay). Default: no. */
      readonly separatesScopes?: boolean;
    }
  | { readonly available: false; readonly reason: string; readonly remedy: string };

/** Everything an engine needs to be started once. */
export interface LaunchPlan {
  readonly instanceId: string;
  readonly model: ModelSpec;
  readonly modelPath: string;
  readonly device: Device;
  /** Threads granted by the governor. */
  readonly threads: number;
  /** Unix socket it must listen on; at most 100 bytes, ends in `.sock`. */
  readonly socketPath: string;
  /** Directory in which slots may be saved and restored; absent: they never are. */
  readonly slotDir?: string;
}

/** A program to run. The fleet spawns it in a process group of its own. */
export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  /** Added to a minimal base environment. */
  readonly env: Readonly<Record<string, string>>;
}

/**
 * A kind of program that can run a model. Knows nothing of scheduling and keeps no state about instances.
 * Every engine answers the same HTTP surface on its socket: docs/engines.md and test/conformance state it.
 */
export interface Engine {
  readonly id: EngineId;
  /** Whether it saves and restores slots in a launch plan's `slotDir`. Default: no. */
  readonly savesSlots?: boolean;
  /** Looks whether it can be used here. Cheap enough for every daemon start (tens of milliseconds); cached. */
  availability(): Promise<EngineAvailability>;
  /** Pure once `availability` said yes: the program and arguments that serve `plan`. Throws AssistantError on settings it cannot honour. */
  launch(plan: LaunchPlan): ProcessSpec;
}
