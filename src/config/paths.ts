import { createHash } from "node:crypto";
import { userInfo } from "node:os";
import path from "node:path";
import type { Paths } from "../core/config.ts";
import { type Environment, variable } from "./environment.ts";

// Unix socket paths end at 107 bytes on Linux and 103 on macOS; an instance's socket adds up to 30 to this.
const MAX_RUN_DIR = 70;

/**
 * All paths of this installation. Pure except for the user id.
 *
 * `overrides.configFile` (the `--config` flag) takes precedence over `ASSISTANT_CONFIG`, then the XDG directory, or
 * `/etc/assistant` with `ASSISTANT_SYSTEM=1`. With `ASSISTANT_DATA_DIR` set, logs are inside it, so one variable is
 * enough to separate two installations. No directory is created here.
 */
export function resolvePaths(env: Environment, overrides: { configFile?: string | undefined } = {}): Paths {
  const system = variable(env, "ASSISTANT_SYSTEM") === "1";
  const home = variable(env, "HOME") ?? userInfo().homedir;
  const base = (name: string, fallback: string): string => {
    const value = variable(env, name);
    // The XDG specification asks to ignore relative values.
    return path.join(value !== null && path.isAbsolute(value) ? value : path.join(home, fallback), "assistant");
  };

  const chosen = overrides.configFile ?? variable(env, "ASSISTANT_CONFIG");
  const configDir = system ? "/etc/assistant" : base("XDG_CONFIG_HOME", ".config");
  const configFile = chosen === null ? path.join(configDir, "config.toml") : path.resolve(expandHome(chosen, home));

  const chosenData = variable(env, "ASSISTANT_DATA_DIR");
  const dataDir =
    chosenData !== null
      ? path.resolve(expandHome(chosenData, home))
      : system
        ? "/var/lib/assistant"
        : base("XDG_DATA_HOME", ".local/share");
  const logDir =
    chosenData !== null
      ? path.join(dataDir, "log")
      : system
        ? "/var/log/assistant"
        : path.join(base("XDG_STATE_HOME", ".local/state"), "log");
  const runDir = system && chosenData === null ? "/run/assistant" : userRunDir(dataDir);

  return Object.freeze({
    configFile,
    modelConfigDir: path.join(path.dirname(configFile), "models"),
    pipelinesDir: path.join(path.dirname(configFile), "pipelines"),
    dataDir,
    weightsDir: path.join(dataDir, "models"),
    enginesDir: path.join(dataDir, "engines"),
    logDir,
    runDir,
    adminSocket: path.join(runDir, "admin.sock"),
  });
}

function userRunDir(dataDir: string): string {
  const inside = path.join(dataDir, "run");
  // Not XDG_RUNTIME_DIR: a shell without a login session lacks it, and would not find the daemon of one that has it.
  if (Buffer.byteLength(inside) <= MAX_RUN_DIR) return inside;
  const uid = process.getuid?.() ?? 0;
  return path.join("/tmp", `assistant-${uid}-${createHash("sha256").update(dataDir).digest("hex").slice(0, 8)}`);
}

/** `~` and `~/x` as a shell would expand them; anything else unchanged. */
export function expandHome(file: string, home: string): string {
  if (file === "~") return home;
  return file.startsWith("~/") ? path.join(home, file.slice(2)) : file;
}

/** A path written in a configuration file: `~` is the home directory, and what is relative is relative to that file. */
export function pathIn(file: string, written: string, env: Environment): string {
  return path.resolve(path.dirname(file), expandHome(written, variable(env, "HOME") ?? userInfo().homedir));
}
