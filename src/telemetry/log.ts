import { type Logger, pino } from "pino";
import { Signal } from "../core/signal.ts";
import { RollingFile } from "./rolling-file.ts";

export type { Logger };

export interface LogTarget {
  readonly level: "debug" | "info" | "warn" | "error";
  /** Directory of the log files; `current.log` in it always names the one being written. */
  readonly directory: string;
  /** Also write to this descriptor, for `serve --foreground`. */
  readonly alsoTo: NodeJS.WritableStream | null;
}

const MAX_FILE_BYTES = 10 * 2 ** 20;
const KEPT_FILES = 5;

// A key that a client or an upstream sent must never reach a file, whichever object holds it.
const SECRETS: ReadonlySet<string> = new Set(["authorization", "apikey", "api_key", "token", "cookie"]);
const CENSORED = "[redacted]";

/**
 * The fields of a line with secrets hidden, in them and in the objects they hold, whatever the case of their names:
 * pino's `redact` compares it.
 */
function withoutSecrets(fields: Record<string, unknown>): Record<string, unknown> {
  let censored = fields;
  for (const name in fields) {
    const value = fields[name];
    let shown = value;
    if (SECRETS.has(name.toLowerCase())) shown = CENSORED;
    else if (typeof value === "object" && value !== null && !(value instanceof Error))
      shown = hideIn(value as Record<string, unknown>);
    if (shown === value) continue;
    if (censored === fields) censored = { ...fields };
    censored[name] = shown;
  }
  return censored;
}

function hideIn(held: Record<string, unknown>): Record<string, unknown> {
  const secret = Object.keys(held).filter((name) => SECRETS.has(name.toLowerCase()));
  return secret.length === 0 ? held : { ...held, ...Object.fromEntries(secret.map((name) => [name, CENSORED])) };
}

export interface DaemonLog {
  readonly log: Logger;
  /** A logger whose lines name a part of the daemon. */
  part(name: string): Logger;
  /**
   * Writes what the part's logger would write with the message "request": a line for each request, with flat fields of
   * which none is a secret, for a third of the price.
   */
  requests(part: string): (level: "info" | "warn", fields: object) => void;
  /** Of the log and of all its parts. */
  setLevel(level: LogTarget["level"]): void;
  flush(): Promise<void>;
  /** Each line as it is written, but for those of requests that went well. */
  readonly lines: Signal<string>;
}

/** Opens the daemon's log: JSON lines in files of 10 MB, five of which are kept. */
export async function openLog(target: LogTarget): Promise<DaemonLog> {
  const file = await RollingFile.open({
    directory: target.directory,
    name: "assistant",
    maxBytes: MAX_FILE_BYTES,
    kept: KEPT_FILES,
  });
  const write = (line: string): void => {
    file.write(line);
    target.alsoTo?.write(line);
  };
  const lines = new Signal<string>();
  const tell = (line: string): void => {
    write(line);
    lines.emit(line);
  };
  const log = pino({ level: target.level, base: null, formatters: { log: withoutSecrets } }, { write: tell });
  const parts: Logger[] = [];
  return {
    log,
    lines,
    part: (part) => {
      const child = log.child({ part });
      parts.push(child);
      return child;
    },
    requests: (part) => (level, fields) => {
      if (!log.isLevelEnabled(level)) return;
      const head = `{"level":${log.levels.values[level]},"time":${Date.now()},"part":"${part}"`;
      const line = `${head},${JSON.stringify(fields).slice(1, -1)},"msg":"request"}\n`;
      if (level === "info") write(line);
      else tell(line);
    },
    // A pino logger copies its parent's level when it is created.
    setLevel: (level) => {
      for (const each of [log, ...parts]) each.level = level;
    },
    flush: () => file.flush(),
  };
}
