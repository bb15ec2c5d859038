import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { StopSignal } from "../core/command.ts";
import type { ProcessSpec } from "../core/engine.ts";

type EndSignal = StopSignal | "SIGKILL";

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Set if the program could not be run at all. */
  readonly spawnError: string | null;
}

/** A running engine and all its child processes: one process group. */
export interface EngineProcess {
  readonly pid: number;
  /** Resolves when the engine itself has exited, even if others still hold its files open. Never rejects. */
  readonly exited: Promise<Exit>;
  /** Sends a signal to the whole group; not an error if the group no longer exists. */
  kill(signal: EndSignal): void;
}

export type SpawnEngine = (
  spec: ProcessSpec,
  logFile: string,
  baseEnv: Readonly<Record<string, string>>,
) => EngineProcess;

/**
 * Engines must not outlive the daemon, and a daemon killed by SIGKILL cannot clean up. Each group therefore has a
 * guard: a shell that reads from a pipe whose other end only the daemon holds. The kernel closes that end when the
 * daemon dies, the read ends, and the guard kills its own group. It ignores the signals with which the daemon asks the
 * group to exit, so that it outlives an engine that does not obey. `$$` is the first shell's pid in the subshell too;
 * exec makes it the engine's, and it leads the group, so exit code and signals stay the engine's own. Descriptor 3 is
 * the pipe; the engine does not get it. Files written by an engine are private to its user (umask): saved slots contain
 * conversations.
 */
const GUARD = `umask 077
( trap '' TERM INT HUP QUIT; read -r _ <&3; kill -s KILL -- "-$$" ) </dev/null >/dev/null 2>&1 &
exec "$@" 3<&-`;

export const spawnEngine: SpawnEngine = (spec, logFile, baseEnv) => {
  const log = openSync(logFile, "a", 0o600);
  try {
    const child = spawn("/bin/sh", ["-c", GUARD, "sh", spec.command, ...spec.args], {
      detached: true,
      env: { ...baseEnv, ...spec.env },
      ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
      // Files, not pipes: output is kept even while the daemon is busy, and writers never block.
      stdio: ["ignore", log, log, "pipe"],
    });
    return watch(child);
  } finally {
    closeSync(log);
  }
};

function watch(child: ChildProcess): EngineProcess {
  const pid = child.pid ?? -1;
  // Undefined where there was no file descriptor left to start it.
  const line = child.stdio?.[3];
  // A dying engine resets the pipe; `exit` reports its death.
  line?.on("error", () => {});
  let gone = false;
  const kill = (signal: EndSignal): void => {
    if (gone || pid <= 0) return;
    try {
      process.kill(-pid, signal);
    } catch {
      // ESRCH: the group no longer exists.
    }
  };
  const exited = new Promise<Exit>((resolve) => {
    const end = (exit: Exit): void => {
      // Kills the guard and any processes that the engine left behind. The guard is a member of the group, so the
      // number cannot have been reused in the meantime.
      kill("SIGKILL");
      gone = true;
      line?.destroy();
      resolve(exit);
    };
    child.once("exit", (code, signal) => end({ code, signal, spawnError: null }));
    child.once("error", (error) => end({ code: null, signal: null, spawnError: error.message }));
  });
  return { pid, exited, kill };
}
