import { setTimeout as delay } from "node:timers/promises";
import type { DaemonStatus } from "../../../src/api/status.ts";
import { type DaemonClient, daemonClient } from "../../../src/client/daemon-client.ts";
import type { Paths } from "../../../src/core/config.ts";
import { AssistantError, type ErrorCode, isAssistantError } from "../../../src/core/errors.ts";
import { processStartTime } from "../../../src/core/process.ts";
import { type ProgressStream, showProgress } from "../cli/progress.ts";

export interface StopOptions {
  readonly paths: Pick<Paths, "adminSocket" | "dataDir">;
  /** Ends running requests instead of waiting for them. */
  readonly now: boolean;
  readonly progress: ProgressStream;
  /** The holder of the data directory's lock; also finds a daemon that no longer responds. */
  readonly lockHolder: (dataDir: string) => Promise<{ readonly pid: number; readonly startTime: string } | null>;
}

export type StopResult = {
  readonly wasRunning: boolean;
  readonly pid: number | null;
  /** It did not exit in time and was killed. */
  readonly killed: boolean;
  readonly seconds: number;
};

const POLL_MS = 50;
const NOW_PATIENCE_MS = 15_000;

/** Stops the daemon and waits until its process is gone. A daemon that does not run is no error. */
export async function stopDaemon(options: StopOptions): Promise<StopResult> {
  const startedAt = performance.now();
  const client = daemonClient(options.paths);
  const target = await findDaemon(client, options);
  if (target === null) return { wasRunning: false, pid: null, killed: false, seconds: 0 };
  using progress = showProgress(options.progress, "stopping the daemon");
  if (target.status === null) process.kill(target.pid, "SIGTERM");
  else await ignoreGone(client.shutdown({ now: options.now }));
  let killed = false;
  while (target.startTime !== null && (await processStartTime(target.pid)) === target.startTime) {
    progress.update(describeWait(await currentStatus(client)));
    if (options.now && !killed && performance.now() - startedAt > NOW_PATIENCE_MS) {
      process.kill(target.pid, "SIGKILL");
      killed = true;
    }
    await delay(POLL_MS);
  }
  return { wasRunning: true, pid: target.pid, killed, seconds: (performance.now() - startedAt) / 1000 };
}

interface Target {
  readonly pid: number;
  readonly startTime: string | null;
  /** Null where the daemon lives but does not answer. */
  readonly status: DaemonStatus | null;
}

/** Nothing answers on the daemon's socket, or another program does. */
const UNREACHABLE: ReadonlySet<ErrorCode> = new Set(["daemon_not_running", "daemon_not_answering", "address_in_use"]);

async function findDaemon(client: DaemonClient, options: StopOptions): Promise<Target | null> {
  try {
    const status = await client.status();
    return { pid: status.pid, startTime: await processStartTime(status.pid), status };
  } catch (error) {
    if (!isAssistantError(error) || !UNREACHABLE.has(error.code)) throw error;
    const holder = await options.lockHolder(options.paths.dataDir);
    if (holder === null) {
      if (error.code === "address_in_use") throw error;
      return null;
    }
    if (options.now) return { ...holder, status: null };
    throw new AssistantError("daemon_not_answering", `The daemon (pid ${holder.pid}) runs but does not answer.`, {
      remedy: "If it has just been started, wait a moment. If not, `assistant stop --now` ends it.",
      cause: error,
    });
  }
}

/** What is being waited for, in words. Pure. */
export function describeWait(status: DaemonStatus | null): string {
  if (status === null) return "stopping the daemon";
  const running = status.instances.reduce((sum, instance) => sum + instance.inFlight, 0);
  if (running > 0)
    return `stopping the daemon: ${running} running ${running === 1 ? "request" : "requests"} may finish (\`stop --now\` ends them)`;
  const up = status.instances.filter((instance) => instance.pid !== null).length;
  return up > 0
    ? `stopping the daemon: ${up} ${up === 1 ? "instance is" : "instances are"} ending`
    : "stopping the daemon";
}

/** While it goes down, any answer but a status means "nearly gone". */
const currentStatus = (client: DaemonClient): Promise<DaemonStatus | null> => client.status().catch(() => null);

async function ignoreGone(call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isAssistantError(error) || error.code !== "daemon_not_running") throw error;
  }
}
