import type { AssistantError } from "../core/errors.ts";
import type { Death } from "../core/instance.ts";
import { tellingLine } from "./engine-log.ts";
import type { Exit } from "./engine-process.ts";
import { refusalIn } from "./refusals.ts";

type Phase = "starting" | "up";

/** Exit codes of a shell whose `exec` failed. */
const NOT_FOUND = 127;
const NOT_EXECUTABLE = 126;

/** Why an engine exited, in a sentence. `log` is what it printed since its start. */
export function deathByExit(exit: Exit, phase: Phase, log: string, at: number): Death {
  const line = tellingLine(log);
  const why = line === null ? "" : ` Last output: ${line}`;
  const when = phase === "starting" ? "while it was starting" : "while it was serving";
  if (exit.spawnError !== null || (phase === "starting" && (exit.code === NOT_FOUND || exit.code === NOT_EXECUTABLE))) {
    const reason = exit.spawnError ?? line ?? `exit code ${exit.code}`;
    return {
      at,
      cause: "spawn-error",
      message: `The engine's program could not be run: ${reason}`,
      exitCode: exit.code,
      signal: null,
    };
  }
  const refusal = phase === "starting" ? refusalIn(log) : null;
  if (exit.signal !== null) {
    // The daemon did not send it, so a SIGKILL most likely came from the kernel.
    const hint = exit.signal === "SIGKILL" ? " (perhaps by the system, for lack of memory)" : "";
    return {
      at,
      cause: "signal",
      message: refusal ?? `The engine was killed by ${exit.signal}${hint} ${when}.${why}`,
      exitCode: null,
      signal: exit.signal,
    };
  }
  return {
    at,
    cause: "exit",
    message: refusal ?? `The engine ended with exit code ${exit.code} ${when}.${why}`,
    exitCode: exit.code,
    signal: null,
  };
}

const sentences: Record<Exclude<Death["cause"], "exit" | "signal" | "spawn-error">, string> = {
  "start-timeout": "It was not ready in time",
  "port-taken": "It could not listen",
  "probe-failed": "It reported itself ready but produced no token",
  wedged: "It was wedged",
  stopped: "Stopped",
  evicted: "Stopped to make room for another model",
  idle: "Stopped after its idle time",
  reload: "Stopped because its configuration changed",
};

/** Why the daemon stopped an engine. `detail` follows the sentence after a colon. */
export const deathByUs = (cause: keyof typeof sentences, at: number, detail = ""): Death => ({
  at,
  cause,
  message: detail === "" ? `${sentences[cause]}.` : `${sentences[cause]}: ${detail}`,
  exitCode: null,
  signal: null,
});

/** An engine that was not ready in time. `lack`: what was missing at the last check, or null. */
export function deathByTimeout(afterMs: number, at: number, lack: string | null, lastLine: string): Death {
  const printed = lastLine === "" ? "it printed nothing" : `its last line: ${lastLine}`;
  const why = lack === null ? printed : `${lack}; ${printed}`;
  return deathByUs("start-timeout", at, `no token within ${afterMs / 1000} s; ${why}`);
}

/** Nothing could be spawned: the catalogue's error has the reason and a remedy. */
export const notPrepared = (error: AssistantError, at: number): Death => ({
  at,
  cause: "spawn-error",
  message: error.remedy ? `${error.message} ${error.remedy}` : error.message,
  exitCode: null,
  signal: null,
  error: error.code,
});
