import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import { parse } from "yaml";
import { AssistantError } from "../../core/errors.ts";
import type { WorkerSettings } from "./settings.ts";

const LEVELS = ["debug", "info", "warning", "error"] as const;
type Level = (typeof LEVELS)[number];
const DEFAULT_LOGGING = "default_logging.yaml";

export interface WorkerLog {
  debug(message: string): void;
  info(message: string): void;
  warning(message: string): void;
  error(message: string): void;
}

/** One line per message on standard error. Never contains prompts or answers. */
export function workerLog(level: Level, write: (line: string) => void): WorkerLog {
  const log = (of: Level) => (message: string) => {
    if (LEVELS.indexOf(of) >= LEVELS.indexOf(level))
      write(`${new Date().toISOString()} ${of.toUpperCase()} ${message}\n`);
  };
  return { debug: log("debug"), info: log("info"), warning: log("warning"), error: log("error") };
}

/**
 * The level that `LOGGING_CONFIG` sets: `level`, or `root.level` as Python's logging has it. Throws `config_invalid`.
 */
export async function logLevel({ debug, loggingConfig }: WorkerSettings, cwd: string): Promise<Level> {
  if (debug) return "debug";
  const path = resolve(cwd, loggingConfig ?? DEFAULT_LOGGING);
  if (loggingConfig === null && !existsSync(path)) return "info";
  const invalid = (message: string): AssistantError => new AssistantError("config_invalid", `${path}: ${message}`);
  const read = await readFile(path, "utf8").then(parse, () => {
    throw invalid("LOGGING_CONFIG cannot be read.");
  });
  const written: unknown = read?.level ?? read?.root?.level ?? "info";
  const level = LEVELS.find(
    (one) =>
      one ===
      String(written)
        .toLowerCase()
        .replace(/^warn$/, "warning"),
  );
  if (level !== undefined) return level;
  throw invalid(`level: expected one of ${LEVELS.join(", ")}; found ${JSON.stringify(written)}.`);
}
