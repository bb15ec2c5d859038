import { type Logger, pino } from "pino";
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

// A key that a client or an upstream sent must never reach a file, whichever object carries it.
const SECRET_PATHS = ["authorization", "*.authorization", "headers.authorization", "apiKey", "*.apiKey", "token", "*.token"];

/** Opens the daemon's log: JSON lines in files of 10 MB, five of which are kept. */
export async function openLog(target: LogTarget): Promise<{ log: Logger; flush(): Promise<void> }> {
  const file = await RollingFile.open({ directory: target.directory, name: "assistant", maxBytes: MAX_FILE_BYTES, kept: KEPT_FILES });
  const streams = target.alsoTo
    ? [
        { stream: file, level: target.level },
        { stream: target.alsoTo, level: target.level },
      ]
    : null;
  const options = { level: target.level, base: null, redact: { paths: SECRET_PATHS, censor: "[redacted]" } };
  const log = streams ? pino(options, pino.multistream(streams)) : pino(options, file);
  return {
    log,
    flush: () => file.flush(),
  };
}
