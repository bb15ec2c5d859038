import { type ChildProcess, fork } from "node:child_process";
import { randomBytes } from "node:crypto";
import { watch } from "node:fs";
import { dirname, resolve } from "node:path";
import type { Environment } from "../../../src/config/environment.ts";
import { programFile } from "../../../src/core/package.ts";

export interface HandlersOrder {
  /** A file, with `:NAME` behind it for another export than `app`. */
  readonly target: string;
  readonly host: string;
  /** Of the first process; the others have the next ones. 0: free ones. */
  readonly port: number;
  readonly workers: number;
  /** Start the processes again when the module's folder changes. */
  readonly reload: boolean;
  /** URL of a daemon; "": they register nowhere. */
  readonly apiServer: string;
  readonly objectStore: string;
  /** `auto`: made from the port. */
  readonly replicaId: string;
  /** Of the processes. */
  readonly env: Environment;
  say(text: string): void;
}

const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;
/** One that ran for so long was well: its next crash is a first one. */
const WELL_AFTER_MS = 60_000;
const STOP_GRACE_MS = 5_000;
/** A module that cannot be served will not be at the next start either. */
const REFUSED = 2;
const SETTLE_MS = 100;

/**
 * Runs so many processes of a module, each restarted with a growing pause when it ends, until the signal aborts.
 * Resolves with the exit code.
 */
export async function superviseHandlers(order: HandlersOrder, signal: AbortSignal): Promise<number> {
  const { target, workers, port, reload, say } = order;
  const [, file = target, exported = "app"] = /^(.+?)(?::([A-Za-z_$][\w$]*))?$/.exec(target) ?? [];
  const id = order.replicaId === "auto" ? `replica-${port}-${randomBytes(4).toString("hex")}` : order.replicaId;
  const running = new Set<ChildProcess>();
  const watcher = reload
    ? watch(
        dirname(resolve(file)),
        { recursive: true },
        debounced(() => {
          say("the module has changed; starting its processes again");
          for (const child of running) child.kill("SIGTERM");
        }),
      )
    : null;
  const keep = async (index: number): Promise<number> => {
    let pauseMs = FIRST_PAUSE_MS;
    while (!signal.aborted) {
      const startedAt = performance.now();
      const child = fork(
        programFile("src/workers/handlers/run-program"),
        [
          resolve(file),
          exported,
          ...["--host", order.host, "--port", String(port === 0 ? 0 : port + index)],
          ...["--api-server", order.apiServer, "--object-store", order.objectStore],
          ...["--replica-id", workers === 1 ? id : `${id}-${index}`],
        ],
        { stdio: ["ignore", "inherit", "inherit", "ipc"], env: { ...order.env, NODE_NO_WARNINGS: "1" } },
      );
      running.add(child);
      const stop = (): void => void child.kill("SIGTERM");
      signal.addEventListener("abort", stop);
      const { code, by } = await new Promise<{ code: number | null; by: NodeJS.Signals | null }>((ended) => {
        child.once("exit", (exit, killedBy) => ended({ code: exit, by: killedBy }));
        child.once("error", () => ended({ code: 1, by: null }));
      });
      signal.removeEventListener("abort", stop);
      running.delete(child);
      if (signal.aborted) return 0;
      if (code === REFUSED) return REFUSED;
      if (performance.now() - startedAt > WELL_AFTER_MS) pauseMs = FIRST_PAUSE_MS;
      if (code === 0 && reload) continue;
      say(`worker-${port}-${index} exited (${by ?? code}); restarting it in ${pauseMs / 1000} s`);
      await pause(pauseMs, signal);
      pauseMs = Math.min(MAX_PAUSE_MS, pauseMs * 2);
    }
    return 0;
  };
  signal.addEventListener("abort", () => {
    setTimeout(() => {
      for (const child of running) child.kill("SIGKILL");
    }, STOP_GRACE_MS).unref();
  });
  try {
    return Math.max(...(await Promise.all(Array.from({ length: workers }, (_, index) => keep(index)))));
  } finally {
    watcher?.close();
  }
}

const pause = (ms: number, signal: AbortSignal): Promise<void> =>
  new Promise((done) => {
    const timer = setTimeout(done, ms);
    const now = (): void => {
      clearTimeout(timer);
      done();
    };
    signal.addEventListener("abort", now, { once: true });
  });

/** An editor writes a file in several steps. */
function debounced(act: () => void): () => void {
  let timer: NodeJS.Timeout | null = null;
  return () => {
    if (timer !== null) clearTimeout(timer);
    timer = setTimeout(act, SETTLE_MS);
  };
}
