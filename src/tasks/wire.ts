import type { JsonObject } from "../core/inference.ts";
import type { DeliveryRecord } from "./delivery.ts";
import type { TaskRecord, TaskResult, TaskUsage } from "./record.ts";

/** A task as shown by `/api/v1`. */
export const taskResponse = (id: string, task: TaskRecord): object => ({
  task_id: id,
  status: task.status,
  model: task.model,
  created_at: time(task.createdAt),
  updated_at: time(task.updatedAt),
  finished_at: time(task.finishedAt),
  result: task.result === null ? null : resultOf(task.result),
  error: errorOf(task),
  webhook_url: task.webhookUrl,
  idempotency_key: task.idempotencyKey,
  trace_id: task.traceId,
});

/** The same with times, parameters and log. */
export function reportOf(id: string, task: TaskRecord, delivery: DeliveryRecord | null): object {
  // A job's request is internal.
  const { messages = [], ...params } = (task.job === undefined ? task.request : {}) as {
    readonly messages?: readonly Message[];
  } & JsonObject;
  const { createdAt, startedAt, finishedAt } = task;
  const waitedUntil = startedAt ?? finishedAt;
  return {
    ...taskResponse(id, task),
    started_at: time(startedAt),
    run_at: time(task.runAt),
    attempts: task.attempts,
    max_attempts: task.maxAttempts,
    metrics: {
      queue_wait_ms: waitedUntil === null ? null : waitedUntil - createdAt,
      inference_ms: startedAt === null || finishedAt === null ? null : finishedAt - startedAt,
      total_ms: finishedAt === null ? null : finishedAt - createdAt,
    },
    tokens: usageOf(task.result?.usage ?? null),
    prompt: messages.findLast(({ role }) => role === "user")?.content ?? null,
    params: {
      ...params,
      ...(messages.length > 1 ? { messages } : {}),
      ...(task.conversation === undefined ? {} : { conversation_id: task.conversation.id }),
      priority: task.priority,
      fallback_models: task.fallbacks,
    },
    webhook: delivery === null ? null : deliveryOf(delivery),
    logs: task.logs.map(({ at, level, message }) => ({ timestamp: time(at), task_id: id, level, message })),
  };
}

/** The body of a webhook. */
export const webhookBody = (id: string, task: TaskRecord): object => ({
  task_id: id,
  status: task.status,
  data: task.result === null ? { error: errorOf(task) ?? task.status } : resultOf(task.result),
});

const deliveryOf = ({ state, attempts }: DeliveryRecord): object => ({
  state,
  attempts: attempts.map(({ at, durationMs, status, error }) => ({
    timestamp: time(at),
    duration_ms: durationMs,
    status,
    error,
  })),
});

interface Message {
  readonly role: string;
  readonly content: string;
}

const resultOf = ({ text, finishReason, usage, model, reasoning }: TaskResult): object => ({
  text,
  finish_reason: finishReason,
  usage: usageOf(usage),
  model,
  extra: reasoning === null ? {} : { reasoning_content: reasoning },
});

/** Including failed attempts before the last one. */
const errorOf = ({ error }: TaskRecord): string | null => (error === null ? null : `${error.code}: ${error.message}`);

const usageOf = (usage: TaskUsage | null): object => {
  const { promptTokens = null, completionTokens = null } = usage ?? {};
  const total =
    promptTokens === null && completionTokens === null ? null : (promptTokens ?? 0) + (completionTokens ?? 0);
  return { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens: total };
};

/** ISO 8601 in UTC. */
const time = (epochMs: number | null): string | null => (epochMs === null ? null : new Date(epochMs).toISOString());
