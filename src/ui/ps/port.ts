import type { DaemonStatus, InstanceAction } from "../../api/status.ts";

/** One snapshot of the daemon. */
export interface PsSnapshot {
  /** The latest status, also while the daemon is away; null before the first. */
  readonly status: DaemonStatus | null;
  /** Why there is no newer one, or null while the daemon answers. */
  readonly problem: string | null;
}

/** What the live view asks of its surroundings. */
export interface PsPort {
  /** Calls back with every new snapshot until the returned function is called. */
  watch(listener: (snapshot: PsSnapshot) => void): () => void;
  /** Rejects with a sentence for people. */
  act(instanceId: string, action: InstanceAction["action"]): Promise<void>;
  /**
   * Calls back with the last `lines` lines of a log, again whenever it grows, until the returned function is called.
   */
  followLog(file: string, lines: number, listener: (lines: readonly string[]) => void): () => void;
}
