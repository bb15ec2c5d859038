import { Counter, Gauge, Histogram, type Registry } from "prom-client";

/** Upper bounds in seconds: tasks may wait for hours. */
const BUCKETS = [0.1, 0.5, 1, 5, 15, 60, 300, 900, 3_600, 14_400, 86_400];

/** How the queue of tasks is. */
export interface TaskQueueFacts {
  readonly waiting: number;
  readonly running: number;
}

/** What is counted of tasks and of their webhooks. */
export class TaskMetrics {
  readonly #ended: Counter<"status" | "code">;
  readonly #retries: Counter;
  readonly #waitSeconds: Histogram;
  readonly #runSeconds: Histogram;
  readonly #webhooks: Counter<"outcome">;
  readonly #waiting: Gauge;
  readonly #running: Gauge;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#ended = new Counter({
      name: "assistant_tasks_total",
      help: "Tasks that have ended.",
      labelNames: ["status", "code"],
      registers,
    });
    this.#retries = new Counter({
      name: "assistant_task_retries_total",
      help: "Attempts of tasks that are retried.",
      registers,
    });
    this.#waitSeconds = new Histogram({
      name: "assistant_task_wait_seconds",
      help: "From the moment when a task could start to its last attempt's start.",
      buckets: BUCKETS,
      registers,
    });
    this.#runSeconds = new Histogram({
      name: "assistant_task_run_seconds",
      help: "A task's last attempt.",
      buckets: BUCKETS,
      registers,
    });
    this.#webhooks = new Counter({
      name: "assistant_webhook_attempts_total",
      help: "Attempts to send a task's webhook.",
      labelNames: ["outcome"],
      registers,
    });
    this.#waiting = new Gauge({ name: "assistant_tasks_waiting", help: "Tasks that wait.", registers });
    this.#running = new Gauge({ name: "assistant_tasks_running", help: "Tasks that run.", registers });
  }

  /** `code`: why it failed, or "". Times in milliseconds; null: it never started. */
  ended(status: string, code: string, waitMs: number | null, runMs: number | null): void {
    this.#ended.inc({ status, code });
    if (waitMs !== null) this.#waitSeconds.observe(waitMs / 1000);
    if (runMs !== null) this.#runSeconds.observe(runMs / 1000);
  }

  retried(): void {
    this.#retries.inc();
  }

  webhook(accepted: boolean): void {
    this.#webhooks.inc({ outcome: accepted ? "accepted" : "failed" });
  }

  queue({ waiting, running }: TaskQueueFacts): void {
    this.#waiting.set(waiting);
    this.#running.set(running);
  }
}
