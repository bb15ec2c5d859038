import type { DaemonStatus } from "../api/status.ts";
import { toAssistantError } from "../core/errors.ts";

/** The latest status, and why it could not be updated (null while the daemon answers). */
export interface StatusSnapshot {
  readonly status: DaemonStatus | null;
  readonly problem: string | null;
}

/** Asks for the status every `everyMs`, also while the daemon is not running. Returns a function that stops asking. */
export function watchStatus(
  ask: () => Promise<DaemonStatus>,
  everyMs: number,
  listener: (snapshot: StatusSnapshot) => void,
): () => void {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let status: DaemonStatus | null = null;
  const poll = async (): Promise<void> => {
    let problem: string | null = null;
    try {
      status = await ask();
    } catch (error) {
      problem = `${toAssistantError(error).message} Waiting for it…`;
    }
    if (stopped) return;
    listener({ status, problem });
    timer = setTimeout(() => void poll(), everyMs);
  };
  void poll();
  return () => {
    stopped = true;
    clearTimeout(timer);
  };
}
