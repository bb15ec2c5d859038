import type { Endpoint } from "./endpoint.ts";
import type { ErrorCode } from "./errors.ts";
import type { EngineId } from "./model.ts";

/**
 * Life cycle of an instance. One owner loop per instance changes it; everybody else sees snapshots.
 *
 *   absent -> starting -> ready <-> draining -> stopping -> absent
 *                |          |                      ^
 *                +-> failed-+--- crash / wedged ---+     failed -> (backoff) -> starting
 */
export type InstanceState = "absent" | "starting" | "ready" | "draining" | "stopping" | "failed";

/** Why an instance is no longer up, as `ps` shows it. */
export interface Death {
  readonly at: number;
  readonly cause:
    | "exit"
    | "signal"
    | "start-timeout"
    | "spawn-error"
    | "port-taken"
    | "probe-failed"
    | "wedged"
    | "stopped"
    | "evicted"
    | "idle"
    | "reload";
  /** One sentence for people, with exit code or signal and the last telling line of the engine's log. */
  readonly message: string;
  readonly exitCode: number | null;
  readonly signal: string | null;
  /** What was missing, where nothing could be started at all: `model_not_pulled`, `engine_unavailable`, … */
  readonly error?: ErrorCode;
}

/**
 * What the program of a running instance can do. It keeps the program it was started with, whatever is built or chosen
 * since.
 */
export interface InstanceTraits {
  /**
   * Stops work soon after a client has disconnected even when other clients keep it busy. A stock llama-server does
   * not.
   */
  readonly noticesDisconnects: boolean;
  /** Prompts with different `x-cache-scope` headers share nothing that is cached. */
  readonly separatesCaches: boolean;
  /**
   * Has OpenAI's API and nothing else that can be relied on: no slots, no progress, no fields of llama.cpp's. Missing:
   * false.
   */
  readonly onlyOpenAi?: boolean;
}

export interface InstanceSnapshot {
  /** `<model>@<device>`, and `#2` and so on for further ones on the same device. */
  readonly id: string;
  readonly model: string;
  readonly device: string;
  readonly engine: EngineId;
  /** Of its program; all false before the first start. */
  readonly traits: InstanceTraits;
  readonly state: InstanceState;
  readonly pid: number | null;
  /** Its HTTP endpoint, once it has been spawned. */
  readonly endpoint: Endpoint | null;
  readonly slots: number;
  readonly contextTokens: number;
  readonly threads: number;
  readonly startedAt: number | null;
  readonly readyAt: number | null;
  /** Starts since the last success; drives the backoff. */
  readonly attempts: number;
  /** When a failed instance is started again, or null. */
  readonly retryAt: number | null;
  readonly lastDeath: Death | null;
  readonly memoryBytes: number | null;
  /** Speed of the answers in progress, as of the last check of its slots; missing before the first. */
  readonly decodingTokensPerSecond?: number;
  /** Names of the saved conversations that it loaded when it started, most recently used first; missing if none. */
  readonly restoredConversations?: readonly string[];
  /** Names of those saved when it ended, most recently used first; missing if none. */
  readonly savedConversations?: readonly string[];
  readonly logFile: string;
}
