import type { TaskChange } from "../tasks/ledger.ts";
import { isEnded } from "../tasks/record.ts";
import type { TaskObserver } from "../tasks/tasks.ts";
import type { TaskMetrics } from "../telemetry/task-metrics.ts";

/** Counts the outcomes of tasks, and passes them on. */
export const countingTasks = (metrics: TaskMetrics, next: TaskObserver): TaskObserver => ({
  changed(change) {
    count(metrics, change);
    next.changed(change);
  },
  progressed: (id, output) => next.progressed(id, output),
  webhookSent: (accepted) => metrics.webhook(accepted),
});

function count(metrics: TaskMetrics, { before, after }: TaskChange): void {
  if (before === null || after === null || before.status === after.status) return;
  if (before.status === "processing" && after.status === "pending") metrics.retried();
  if (!isEnded(after.status)) return;
  const { startedAt, finishedAt, createdAt, runAt } = after;
  const dueAt = Math.max(createdAt, runAt ?? createdAt);
  metrics.ended(
    after.status,
    after.error?.code ?? "",
    startedAt === null ? null : Math.max(0, startedAt - dueAt),
    startedAt === null || finishedAt === null ? null : Math.max(0, finishedAt - startedAt),
  );
}
