import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import {
  type FailedMessage,
  type HandshakeMessage,
  isHandshakeMessage,
  type ReadyMessage,
} from "../../../src/api/handshake.ts";
import type { DaemonStatus } from "../../../src/api/status.ts";
import { connectIfRunning, type DaemonClient } from "../../../src/client/daemon-client.ts";
import { startupLog } from "../../../src/client/unexpected-end.ts";
import type { Paths } from "../../../src/core/config.ts";
import { lockHolder } from "../../../src/core/daemon-lock.ts";
import { AssistantError, isAssistantError } from "../../../src/core/errors.ts";
import { programFile } from "../../../src/core/package.ts";
import { writeFailure } from "../../../src/core/writing.ts";

export interface StartOptions {
  readonly paths: Pick<Paths, "adminSocket" | "configFile" | "dataDir" | "logDir">;
  /** Environment of the daemon; the caller's, as a service manager would hand it over. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `[server] http_addr` for this start only, or null. */
  readonly httpAddr: string | null;
  /** Called about every 100 ms while the daemon is not ready yet, with the seconds since it was spawned. */
  readonly onWaiting?: (elapsedS: number) => void;
  /** Program to run; the daemon of this installation by default. */
  readonly program?: string;
}

export interface RunningDaemon {
  readonly client: DaemonClient;
  readonly status: DaemonStatus;
  /** False where it ran already. */
  readonly started: boolean;
}

/** The entry program of the daemon of this installation, compiled or as source like this file. */
const daemonProgram = (): string => programFile("src/daemon/main");

/**
 * How V8 keeps the daemon's memory; both can only be said at the start, so a daemon in the foreground does not get
 * them.
 *
 * The young generation, of which this is one half in MiB, is smaller than V8 would have it: it is collected more often,
 * for a shorter time each, which saves a fifth of the p99 under load and 60 MB. And V8 is not to shrink the heap eight
 * seconds after a burst: it throws the machine code of requests away with it, and then collects everything four times a
 * second while the heap grows again. The daemon gives its memory back when it has been quiet for longer
 * (src/daemon/heap.ts).
 */
const MEMORY_FLAGS = ["--max-semi-space-size=16", "--no-memory-reducer"];

// Another user's start may have to stop engines left by a killed daemon, and to wait for a busy machine.
const OTHERS_START_MS = 60_000;
const OTHERS_START_POLL_MS = 100;

/**
 * The running daemon, or a new one. Throws what made the start fail, `daemon_start_failed` where it died without a
 * word.
 */
export async function ensureDaemon(options: StartOptions): Promise<RunningDaemon> {
  for (;;) {
    const running = await connectOnceStarted(options.paths);
    if (running !== null) return { ...running, started: false };
    try {
      await startDaemon(options);
      break;
    } catch (error) {
      // Another one was started at the same moment: it is used as soon as it responds.
      if (!isAssistantError(error) || error.code !== "daemon_running") throw error;
    }
  }
  const started = await connectIfRunning(options.paths);
  if (started === null) throw diedAfterwards(options.paths.logDir);
  return { ...started, started: true };
}

/** The running daemon, once it responds after being started; null if there is none. Throws `daemon_not_answering`. */
async function connectOnceStarted(paths: StartOptions["paths"]): ReturnType<typeof connectIfRunning> {
  for (;;) {
    try {
      return await connectIfRunning(paths);
    } catch (error) {
      const holder = await lockHolder(paths.dataDir);
      const isStarting = holder === null || Date.now() - holder.since < OTHERS_START_MS;
      if (!isAssistantError(error) || error.code !== "daemon_not_answering" || !isStarting) throw error;
      await delay(OTHERS_START_POLL_MS);
    }
  }
}

/** Spawns a daemon that outlives this process, and waits until it says that it is ready. */
export async function startDaemon(options: StartOptions): Promise<ReadyMessage> {
  const logFile = startupLog(options.paths.logDir);
  const child = spawnDetached(options, logFile);
  const startedAt = performance.now();
  const ticker = setInterval(() => options.onWaiting?.((performance.now() - startedAt) / 1000), 100);
  try {
    const message = await firstWord(child);
    if (message.type === "ready") return message;
    throw failure(message);
  } catch (error) {
    throw error instanceof EarlyExit ? await withLastLines(error, logFile) : error;
  } finally {
    clearInterval(ticker);
    if (child.connected) child.disconnect();
    child.unref();
  }
}

function spawnDetached(options: StartOptions, logFile: string): ChildProcess {
  let log: number;
  try {
    mkdirSync(options.paths.logDir, { recursive: true, mode: 0o700 });
    log = openSync(logFile, "w", 0o600);
  } catch (error) {
    throw writeFailure("log directory", options.paths.logDir, error);
  }
  try {
    return spawn(process.execPath, [...MEMORY_FLAGS, options.program ?? daemonProgram()], {
      detached: true,
      // Not the shell's directory: a daemon must not keep a file system from being unmounted.
      cwd: "/",
      stdio: ["ignore", log, log, "ipc"],
      env: {
        ...options.env,
        ASSISTANT_CONFIG: options.paths.configFile,
        // Relative to the shell's directory where the user set it so.
        ...(options.env["ASSISTANT_DATA_DIR"] ? { ASSISTANT_DATA_DIR: options.paths.dataDir } : {}),
        ...(options.httpAddr === null ? {} : { ASSISTANT_HTTP_ADDR: options.httpAddr }),
      },
    });
  } finally {
    closeSync(log);
  }
}

/** The daemon ended, or could not be run, before it said anything. */
class EarlyExit extends Error {}

function firstWord(child: ChildProcess): Promise<HandshakeMessage> {
  return new Promise((resolve, reject) => {
    child.on("message", (message) => {
      if (isHandshakeMessage(message)) resolve(message);
    });
    child.once("error", (error) => reject(new EarlyExit(error.message, { cause: error })));
    child.once("exit", (code, signal) => {
      const end = (): void => reject(new EarlyExit(signal === null ? `exit code ${code}` : `signal ${signal}`));
      // `exit` may come before a message that was sent just before the end: what was said counts.
      if (child.connected) child.once("disconnect", end);
      else end();
    });
  });
}

const failure = ({ error }: FailedMessage): AssistantError =>
  new AssistantError(error.code, error.message, error.remedy === null ? {} : { remedy: error.remedy });

async function withLastLines(exit: EarlyExit, logFile: string): Promise<AssistantError> {
  const text = await readFile(logFile, "utf8").catch(() => "");
  const lines = text
    .trimEnd()
    .split("\n")
    .slice(-8)
    .filter((line) => line !== "");
  const said =
    lines.length === 0 ? "It printed nothing." : `Its last lines:\n${lines.map((line) => `  ${line}`).join("\n")}`;
  return new AssistantError("daemon_start_failed", `The daemon exited before it was ready (${exit.message}). ${said}`, {
    remedy:
      "`assistant doctor` checks for common causes; `assistant serve --foreground` shows the start in the terminal.",
    cause: exit,
  });
}

const diedAfterwards = (logDir: string): AssistantError =>
  new AssistantError("daemon_start_failed", "The daemon was ready, but exited right away.", {
    remedy: `Its last output is in ${startupLog(logDir)} and in \`assistant logs\`.`,
  });
