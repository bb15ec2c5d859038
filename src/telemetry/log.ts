import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type Logger, pino } from "pino";
import buildRollingFile from "pino-roll";

export type { Logger };

export interface LogTarget {
  readonly level: "debug" | "info" | "warn" | "error";
  /** Directory of the log files; `current.log` in it always names the one being written. */
  readonly directory: string;
  /** Also write to this descriptor, for `serve --foreground`. */
  readonly alsoTo: NodeJS.WritableStream | null;
}

const MAX_FILE_SIZE = "10m";
const KEPT_FILES = 5;

// A key that a client or an upstream sent must never reach a file, whichever object carries it.
const SECRET_PATHS = ["authorization", "*.authorization", "headers.authorization", "apiKey", "*.apiKey", "token", "*.token"];

/** Opens the daemon's log: JSON lines in files of 10 MB, five of which are kept. */
export async function openLog(target: LogTarget): Promise<{ log: Logger; flush(): Promise<void> }> {
  await mkdir(target.directory, { recursive: true, mode: 0o700 });
  const file = await buildRollingFile({
    file: join(target.directory, "assistant"),
    size: MAX_FILE_SIZE,
    limit: { count: KEPT_FILES, removeOtherLogFiles: true },
    symlink: true,
    mkdir: true,
    sync: false,
  });
  // A full disk must not take the daemon down with it: requests matter more than their log lines.
  file.on("error", () => {});
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
    flush: () =>
      new Promise((resolve) => {
        file.flush(() => resolve());
      }),
  };
}
