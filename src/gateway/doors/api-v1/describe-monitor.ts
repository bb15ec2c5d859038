import type { JsonSchema } from "../../../core/schema.ts";
import { logLevels } from "../../../monitor/recent-logs.ts";
import type { RouteDescription } from "../../front/describe.ts";

const json = (...required: string[]): NonNullable<RouteDescription["answers"]> => ({
  "application/json": { type: "object", required } satisfies JsonSchema,
});

/** The daemon's status, under `/api/v1`. */
export const described: Readonly<
  Record<"root" | "alive" | "tracing" | "health" | "gpu" | "queue" | "logs" | "stats", RouteDescription>
> = {
  root: { summary: "Show name and version of the service", answers: json("service", "version", "status", "docs") },
  alive: { summary: "Check whether the daemon responds", answers: json("status", "service", "version") },
  tracing: { summary: "Show where traces go", answers: json("enabled", "platform", "host") },
  health: {
    summary: "Show the health of each part",
    description: "503 with the same body if one of them is not up.",
    answers: json("status", "version", "uptime_seconds", "timestamp", "components", "resources", "gpu"),
  },
  gpu: {
    summary: "Show the GPUs",
    description: "As they were at most 5 s ago. 503 without a GPU.",
    query: { properties: { index: { type: "integer", minimum: 0, description: "Default: the first." } } },
    answers: json("gpu_info", "vram_usage", "is_locked", "current_task_id", "gpus"),
  },
  queue: {
    summary: "Show how many tasks wait and which run",
    answers: json("queue_size", "processing_task", "processing_tasks", "recent_logs_count"),
  },
  logs: {
    summary: "List the last log lines of tasks and daemon, newest first",
    query: {
      properties: {
        limit: { type: "integer", minimum: 1, maximum: 1000 },
        level: { enum: [...logLevels] },
        task_id: { type: "string" },
      },
    },
    answers: json("logs", "total", "filtered", "filters"),
  },
  stats: {
    summary: "Show the results of a day's tasks",
    query: { properties: { date: { type: "string", format: "date", description: "Default: today, in UTC." } } },
    answers: json("date", "tasks_completed", "tasks_failed", "tokens_used", "total_duration_ms", "avg_duration_ms"),
  },
};
