import { maySee, type TaskIdentity, type Viewer } from "./events.ts";

export const logLevels = ["debug", "info", "warning", "error"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogLine {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly level: LogLevel;
  readonly message: string;
  /** Part of the daemon that wrote it; null: a task did. */
  readonly part: string | null;
  readonly task: TaskIdentity | null;
}

export interface LogQuery {
  readonly level: LogLevel | null;
  readonly taskId: string | null;
  readonly limit: number;
}

const MAX_LINES = 1_000;
const MAX_MESSAGE_CHARACTERS = 1_000;

/** The last lines of tasks and daemon. */
export class RecentLogs {
  readonly #lines: LogLine[] = [];
  /** Position of the next one, once the buffer is full. */
  #next = 0;

  get count(): number {
    return this.#lines.length;
  }

  /** Returns the line as it is kept. */
  add(line: LogLine): LogLine {
    const kept = { ...line, message: line.message.slice(0, MAX_MESSAGE_CHARACTERS) };
    this.#lines[this.#next] = kept;
    this.#next = (this.#next + 1) % MAX_LINES;
    return kept;
  }

  /** Newest first. `matching`: as many as there are, without the limit. */
  list({ level, taskId, limit }: LogQuery, viewer: Viewer): { readonly lines: LogLine[]; readonly matching: number } {
    const newestFirst = [...this.#lines.slice(this.#next), ...this.#lines.slice(0, this.#next)].reverse();
    const lines = newestFirst.filter(
      (line) =>
        maySee(viewer, line.task) &&
        (level === null || line.level === level) &&
        (taskId === null || line.task?.id === taskId),
    );
    return { lines: lines.slice(0, limit), matching: lines.length };
  }
}

const LEVELS: Readonly<Record<number, LogLevel>> = { 10: "debug", 20: "debug", 30: "info", 40: "warning" };

/** A line of the daemon's log, without the fields that are for programs. */
export function daemonLine(json: string): LogLine {
  const { level, time, msg, part, err, code, error, model } = JSON.parse(json) as Readonly<Record<string, unknown>> & {
    readonly err?: { readonly message?: unknown };
  };
  const about = [model, code, error, err?.message].filter((each) => typeof each === "string");
  return {
    at: Number(time),
    level: LEVELS[Number(level)] ?? "error",
    message: [String(msg ?? ""), ...about].join(": "),
    part: typeof part === "string" ? part : "daemon",
    task: null,
  };
}
