import type { ModelKind } from "./model.ts";

/** One slot as the engine's `/slots` tells it. The counts grow while the slot makes progress. */
export interface SlotProgress {
  readonly id: number;
  readonly busy: boolean;
  /** Prompt tokens evaluated for the current request. */
  readonly promptTokensDone: number;
  /** Tokens generated for the current request. */
  readonly tokensDecoded: number;
}

/** How the fleet looks at a running engine. Every call rejects when the engine cannot be reached or the signal aborts. */
export interface EngineProbe {
  health(socketPath: string, signal: AbortSignal): Promise<"loading" | "ready">;
  slots(socketPath: string, signal: AbortSignal): Promise<readonly SlotProgress[]>;
  /** Resolves once the engine has produced one real token (or one embedding). Costs a slot's cached prefix. */
  token(socketPath: string, kind: ModelKind, signal: AbortSignal): Promise<void>;
}
