import type { TaskReportView, TaskView } from "../api/tasks.ts";
import { formatDuration, truncate } from "./format.ts";
import { printableLine } from "./printable.ts";
import { alignColumns } from "./table.ts";

const TITLES = ["ID", "STATUS", "MODEL", "AGE", "TOOK", "ANSWER"];
const ANSWER_WIDTH = 48;

/** Tasks as a table. `now`: epoch milliseconds. Pure. */
export function tasksText(tasks: readonly TaskView[], now: number): string[] {
  const rows = tasks.map((task) => [
    task.task_id,
    task.status,
    task.model,
    formatDuration(now - Date.parse(task.created_at)),
    task.finished_at === null ? "-" : formatDuration(Date.parse(task.finished_at) - Date.parse(task.created_at)),
    truncate((task.result?.text ?? task.error ?? "").replace(/\s+/g, " ").trim(), ANSWER_WIDTH),
  ]);
  return alignColumns([TITLES, ...rows]);
}

/** One task, with what is known of it. */
export function taskText(task: TaskReportView): string[] {
  const { queue_wait_ms: waited, inference_ms: ran, total_ms: total } = task.metrics;
  const { prompt_tokens: read, completion_tokens: written } = task.tokens;
  const rows: [string, string | null][] = [
    ["task", task.task_id],
    ["status", task.status],
    [
      "model",
      task.result === null || task.result.model === task.model
        ? task.model
        : `${task.model} (${task.result.model} answered)`,
    ],
    ["made", task.created_at],
    ["starts at", task.run_at],
    ["started", task.started_at],
    ["ended", task.finished_at],
    ["attempts", `${task.attempts} of at most ${task.max_attempts}`],
    ["time", total === null ? null : `waited ${waited ?? 0} ms, ran ${ran ?? 0} ms`],
    ["tokens", read === null && written === null ? null : `${read ?? "?"} in, ${written ?? "?"} out`],
    ["webhook", task.webhook_url === null ? null : `${task.webhook_url} (${task.webhook?.state ?? "when it ends"})`],
    ["error", task.error],
  ];
  const known = rows.filter((row): row is [string, string] => row[1] !== null);
  return [...alignColumns(known), ...(task.result === null ? [] : ["", task.result.text])];
}

/** The log of a task and of its webhook, in order. */
export function taskLogText({ logs, webhook }: TaskReportView): string[] {
  const deliveries = (webhook?.attempts ?? []).map(({ timestamp, status, error }) => ({
    timestamp,
    level: error === null ? "info" : "warning",
    message: error === null ? `webhook delivered (status ${status})` : `webhook failed: ${error}`,
  }));
  return [...logs, ...deliveries].map(
    ({ timestamp, level, message }) => `${timestamp}  ${level.padEnd(7)}  ${printableLine(message)}`,
  );
}
