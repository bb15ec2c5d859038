/** Routes of tasks, shared by client and gateway. */
const PREFIX = "/api/v1/tasks";
const task = (id: string): string => `${PREFIX}/${encodeURIComponent(id)}`;
export const taskRoutes = {
  tasks: PREFIX,
  task,
  report: (id: string): string => `${task(id)}/report`,
  stream: (id: string): string => `${task(id)}/stream`,
  cancel: (id: string): string => `${task(id)}/cancel`,
  webhookSecret: "/api/v1/webhook-secret",
} as const;

export const taskStates = ["pending", "processing", "completed", "failed", "cancelled"] as const;

/** A task as `/api/v1/tasks` shows it. Times are ISO 8601 in UTC. */
export interface TaskView {
  readonly task_id: string;
  readonly status: (typeof taskStates)[number];
  readonly model: string;
  readonly created_at: string;
  readonly updated_at: string;
  readonly finished_at: string | null;
  readonly result: { readonly text: string; readonly finish_reason: string; readonly model: string } | null;
  readonly error: string | null;
}

export interface TaskReportView extends TaskView {
  readonly started_at: string | null;
  readonly run_at: string | null;
  readonly attempts: number;
  readonly max_attempts: number;
  readonly metrics: Readonly<Record<"queue_wait_ms" | "inference_ms" | "total_ms", number | null>>;
  readonly tokens: Readonly<Record<"prompt_tokens" | "completion_tokens" | "total_tokens", number | null>>;
  readonly prompt: string | null;
  readonly webhook_url: string | null;
  readonly webhook: {
    readonly state: string;
    readonly attempts: readonly {
      readonly timestamp: string;
      readonly status: number | null;
      readonly error: string | null;
    }[];
  } | null;
  readonly logs: readonly { readonly timestamp: string; readonly level: string; readonly message: string }[];
}

export interface TaskPage {
  readonly tasks: readonly TaskView[];
  /** Value for `after` to get the next page; null on the last page. */
  readonly next: string | null;
}
