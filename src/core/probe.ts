import type { Endpoint } from "./endpoint.ts";
import type { ModelKind } from "./model.ts";

/** One slot as reported by the engine's `/slots`. The counts grow while the slot makes progress. */
export interface SlotProgress {
  readonly id: number;
  readonly busy: boolean;
  /** Prompt tokens evaluated for the current request. */
  readonly promptTokensDone: number;
  /** Tokens generated for the current request. */
  readonly tokensDecoded: number;
  /** Tokens whose state it holds, prompt and answer; undefined if not reported, as for a slot that was never used. */
  readonly cachedTokens?: number;
  /** Number of its last request: the higher, the later. */
  readonly task?: number;
}

/** How the fleet checks a running engine. Every call rejects if the engine cannot be reached or the signal aborts. */
export interface EngineProbe {
  health(endpoint: Endpoint, signal: AbortSignal): Promise<"loading" | "ready">;
  /** Missing: not reported. Its activity and progress are then unknown. */
  slots?(endpoint: Endpoint, signal: AbortSignal): Promise<readonly SlotProgress[]>;
  /** Resolves once the engine has produced one real token (or one embedding). Costs a slot's cached prefix. */
  token(endpoint: Endpoint, kind: ModelKind, signal: AbortSignal): Promise<void>;
  /**
   * Writes what an idle slot holds to a file of that name in the launch plan's `slotDir`. Rejects where the engine
   * cannot.
   */
  saveSlot?(
    endpoint: Endpoint,
    slot: number,
    file: string,
    signal: AbortSignal,
  ): Promise<{ readonly tokens: number; readonly bytes: number }>;
  /** Reads it back into a slot; resolves with its tokens. Rejects when the file does not fit. */
  restoreSlot?(endpoint: Endpoint, slot: number, file: string, signal: AbortSignal): Promise<number>;
  /**
   * Writes a prompt of its host-memory cache that no slot holds to such a file; 0 is the newest. Null: there are no
   * more of them, or the engine cannot (a stock llama-server). Rejects where the file cannot be written.
   */
  saveCached?(
    endpoint: Endpoint,
    index: number,
    file: string,
    signal: AbortSignal,
  ): Promise<{ readonly tokens: number; readonly bytes: number } | null>;
  /**
   * Reads a file, of a slot or of the cache, into the host-memory cache; resolves with its tokens. It may be working
   * meanwhile. Null: there is no room without displacing others, or the engine cannot. Rejects when the file does not
   * fit.
   */
  loadCached?(endpoint: Endpoint, file: string, signal: AbortSignal): Promise<number | null>;
}
