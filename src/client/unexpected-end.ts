import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Paths } from "../core/config.ts";
import { lastHolder } from "../core/daemon-lock.ts";
import { AssistantError } from "../core/errors.ts";
import { isBeforeBoot } from "../core/process.ts";

/** How the last daemon ended that neither runs nor was stopped. */
export interface UnexpectedEnd {
  readonly pid: number;
  /** Epoch milliseconds. */
  readonly startedAt: number;
  /** Epoch milliseconds of its last sign of life; its end may have come later. */
  readonly lastSeenAt: number;
  /** Without a full stop; null: neither its log nor its output shows it. */
  readonly reason: string | null;
}

type Place = Pick<Paths, "dataDir" | "logDir">;

/** What the daemon prints outside its log: errors of the start before there is a log, and those of Node.js itself. */
export const startupLog = (logDir: string): string => join(logDir, "startup.log");

/** Null: the last daemon was stopped, or runs, or there was none. A daemon that is stopped releases its lock. */
export async function unexpectedEnd({ dataDir, logDir }: Place): Promise<UnexpectedEnd | null> {
  const last = await lastHolder(dataDir);
  if (last === null || last.isAlive) return null;
  const { pid, since: startedAt, startTime } = last;
  const [logged, printed, restarted] = await Promise.all([
    readLastLines(join(logDir, "current.log"), startedAt),
    printedReason(startupLog(logDir), startedAt),
    isBeforeBoot(startTime),
  ]);
  const reason = logged.fatal ?? printed ?? (restarted ? "this machine was restarted" : null);
  return { pid, startedAt, lastSeenAt: logged.lastAt ?? startedAt, reason };
}

/** What happened, and where to look, as sentences. */
export function describeEnd({ lastSeenAt, reason }: UnexpectedEnd): { readonly what: string; readonly hint: string } {
  const at = `${new Date(lastSeenAt).toISOString().slice(0, 19).replace("T", " ")} UTC`;
  const what = `It ended unexpectedly at or after ${at}`;
  const hint = "`assistant logs` shows its last lines";
  return reason === null
    ? {
        what: `${what}. Its log does not show why: it was probably killed, by a user or for lack of memory.`,
        hint: `${hint}, and \`journalctl -k\` which programs were killed for lack of memory.`,
      }
    : { what: `${what}: ${reason}.`, hint: `${hint}.` };
}

/** The same error, or one that also says how the daemon ended if it is not running because of that. */
export async function withUnexpectedEnd(error: AssistantError, paths: Place): Promise<AssistantError> {
  const end = error.code === "daemon_not_running" ? await unexpectedEnd(paths) : null;
  if (end === null) return error;
  const { what, hint } = describeEnd(end);
  const remedy = error.remedy === null ? hint : `${error.remedy} ${hint}`;
  return new AssistantError(error.code, `${error.message} ${what}`, { remedy, cause: error });
}

const END_BYTES = 256 * 1024;
/** Level of pino, with which only `src/daemon/last-resort.ts` logs. */
const FATAL = 60;

interface LogEntry {
  readonly level?: unknown;
  readonly time?: unknown;
  readonly msg?: unknown;
  readonly err?: { readonly type?: unknown; readonly message?: unknown };
}

async function readLastLines(
  file: string,
  since: number,
): Promise<{ readonly lastAt: number | null; readonly fatal: string | null }> {
  let lastAt: number | null = null;
  let fatal: string | null = null;
  for (const line of (await endOf(file)).split("\n")) {
    const entry = entryOf(line);
    if (typeof entry?.time !== "number" || entry.time < since) continue;
    lastAt = entry.time;
    if (entry.level === FATAL) fatal = oneLine(`${entry.err?.type ?? "Error"}: ${entry.err?.message ?? entry.msg}`);
  }
  return { lastAt, fatal };
}

/** What Node.js prints when it runs out of memory, which ends the process without an entry in the log. */
async function printedReason(file: string, since: number): Promise<string | null> {
  const changed = await stat(file).catch(() => null);
  if (changed === null || changed.mtimeMs < since) return null;
  const text = await readFile(file, "utf8").catch(() => "");
  const line = /^FATAL ERROR: (.+)$/m.exec(text)?.[1];
  return line === undefined ? null : oneLine(line);
}

/** The last bytes of a file; "": it cannot be read. */
async function endOf(file: string): Promise<string> {
  try {
    await using handle = await open(file, "r");
    const { size } = await handle.stat();
    const length = Math.min(size, END_BYTES);
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(length), 0, length, size - length);
    return buffer.toString("utf8", 0, bytesRead);
  } catch {
    return "";
  }
}

function entryOf(line: string): LogEntry | null {
  try {
    return JSON.parse(line) as LogEntry | null;
  } catch {
    // The first of those read may have lost its beginning, and the last one its end.
    return null;
  }
}

const MAX_REASON_CHARACTERS = 300;
const oneLine = (text: string): string =>
  text.replaceAll(/\s+/g, " ").trim().slice(0, MAX_REASON_CHARACTERS).replace(/\.$/, "");
