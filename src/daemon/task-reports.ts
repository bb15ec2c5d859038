import type { TaskIdentity } from "../monitor/events.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { TaskChange } from "../tasks/ledger.ts";
import type { Output } from "../tasks/output.ts";
import type { TaskRecord } from "../tasks/record.ts";
import type { TaskObserver } from "../tasks/tasks.ts";

/** Between two reports of a task's progress. */
const PROGRESS_EVERY_MS = 500;
/** Of its output, at the end. */
const PARTIAL_CHARACTERS = 1_000;

/** Reports the events of tasks, and counts their outcomes. A task's content is only for those who may see it. */
export class TaskReports implements TaskObserver {
  readonly #monitor: Monitor;
  readonly #now: () => number;
  readonly #running = new Map<string, { readonly task: TaskIdentity; reportedAt: number }>();

  /** `now`: monotonic milliseconds. */
  constructor(monitor: Monitor, now: () => number) {
    this.#monitor = monitor;
    this.#now = now;
  }

  changed({ id, tenant, before, after }: TaskChange): void {
    if (after === null) return;
    const task = { id, tenant };
    for (const { at, level, message } of newLogs(before, after))
      this.#monitor.log({ at, level, message, part: null, task });
    if (after.status === before?.status) return;
    if (after.status === "processing") this.#running.set(id, { task, reportedAt: Number.NEGATIVE_INFINITY });
    else this.#running.delete(id);
    this.#report(task, after);
  }

  progressed(id: string, { pieces, text }: Output): void {
    const running = this.#running.get(id);
    if (running === undefined || !this.#monitor.isWatched) return;
    const now = this.#now();
    if (now - running.reportedAt < PROGRESS_EVERY_MS) return;
    running.reportedAt = now;
    const forOthers = { task_id: id, tokens_generated: pieces };
    const data = { ...forOthers, partial_text: text.slice(-PARTIAL_CHARACTERS) };
    this.#monitor.tell({ type: "task.progress", data, task: running.task, forOthers });
  }

  #report(task: TaskIdentity, { status, priority, startedAt, finishedAt, result, error, ...after }: TaskRecord): void {
    const { stats } = this.#monitor;
    const about = { task_id: task.id, model: result?.model ?? after.model };
    switch (status) {
      case "pending":
        this.#monitor.tell({ type: "task.queued", data: { ...about, priority }, task });
        break;
      case "processing":
        this.#monitor.tell({ type: "task.started", data: about, task });
        break;
      case "completed": {
        const { promptTokens, completionTokens } = result?.usage ?? {};
        const tokens = (promptTokens ?? 0) + (completionTokens ?? 0);
        const durationMs = Math.max(0, (finishedAt ?? 0) - (startedAt ?? finishedAt ?? 0));
        stats.note({ completed: 1, tokens, durationMs });
        const data = { ...about, tokens_used: tokens, duration_ms: durationMs };
        this.#monitor.tell({ type: "task.completed", data, task });
        break;
      }
      case "failed": {
        stats.note({ failed: 1 });
        const code = error?.code ?? "internal";
        const forOthers = { ...about, error: code };
        this.#monitor.tell({
          type: "task.failed",
          data: { ...about, error: `${code}: ${error?.message ?? ""}` },
          task,
          forOthers,
        });
        break;
      }
      case "cancelled":
        this.#monitor.tell({ type: "task.cancelled", data: about, task });
        break;
    }
  }
}

/** Those that a change has brought; of a full list one is known to be new. */
function newLogs(before: TaskRecord | null, { logs }: TaskRecord): TaskRecord["logs"] {
  const known = before?.logs.length ?? 0;
  return logs.length > known ? logs.slice(known) : before?.logs.at(-1)?.at === logs.at(-1)?.at ? [] : logs.slice(-1);
}
