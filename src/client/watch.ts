import type { DaemonStatus } from "../api/status.ts";
import { toAssistantError } from "../core/errors.ts";
import type { DaemonClient } from "./daemon-client.ts";
import { LogTail } from "./log-follow.ts";

/** The latest status, and why there is no newer one (null while the daemon answers). */
export interface StatusSnapshot {
  readonly status: DaemonStatus | null;
  readonly problem: string | null;
}

/** Polls the status every `everyMs`; a daemon that goes away is told once a poll, and found again when it is back. */
export function watchStatus(client: DaemonClient, everyMs: number, listener: (snapshot: StatusSnapshot) => void): () => void {
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let status: DaemonStatus | null = null;
  const poll = async (): Promise<void> => {
    let problem: string | null = null;
    try {
      status = await client.status();
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

/** Calls back with the last `count` lines of a file, now and whenever it grows. A file that cannot be read is said as a line. */
export function watchTail(file: string, count: number, listener: (lines: readonly string[]) => void): () => void {
  const stop = new AbortController();
  const follow = async (): Promise<void> => {
    await using tail = await LogTail.open(file);
    let lines = await tail.last(count);
    if (lines.length === 0) lines = ["(nothing logged yet)"];
    listener(lines);
    for await (const more of tail.follow(stop.signal)) {
      lines = [...lines, ...more].slice(-count);
      if (!stop.signal.aborted) listener(lines);
    }
  };
  follow().catch((error: unknown) => listener([toAssistantError(error).message]));
  return () => stop.abort();
}
