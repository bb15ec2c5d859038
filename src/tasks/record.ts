import type { JsonObject } from "../core/inference.ts";
import type { CollectionSpec } from "../core/store.ts";
import type { TraceHeaders } from "../core/trace.ts";
import type { TaskConversation } from "./conversation.ts";

/**
 * ```
 * pending -> processing -> completed
 *    |  ^        |   |---> failed
 *    |  +--------+   |        (again later: a failed attempt, or the daemon ended)
 *    +---------------+---> cancelled
 * ```
 */
export type TaskStatus = "pending" | "processing" | "completed" | "failed" | "cancelled";

/** The possible successors of each status. */
export const transitions: Readonly<Record<TaskStatus, readonly TaskStatus[]>> = {
  pending: ["processing", "cancelled"],
  processing: ["completed", "failed", "cancelled", "pending"],
  completed: [],
  failed: [],
  cancelled: [],
};

export const taskStatuses = Object.keys(transitions) as readonly TaskStatus[];

export const isEnded = (status: TaskStatus): boolean => transitions[status].length === 0;

export interface TaskResult {
  readonly text: string;
  /** `stop`, `length`, or another reason given by the model's server. */
  readonly finishReason: string;
  readonly usage: TaskUsage;
  /** Name of the model that answered: the task's own or one of its fallbacks. */
  readonly model: string;
  readonly reasoning: string | null;
}

/** Null if the model's server did not report it. */
export interface TaskUsage {
  readonly promptTokens: number | null;
  readonly completionTokens: number | null;
}

export interface TaskLogEntry {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly level: "info" | "warning" | "error";
  readonly message: string;
}

/** A caller's order, with all rules of precedence applied. */
export interface TaskOrder {
  /** Name of a model of the directory. */
  readonly model: string;
  /** Names of the models used if it cannot answer. */
  readonly fallbacks: readonly string[];
  /** A chat request in OpenAI's format, without `model` and `stream`. */
  readonly request: JsonObject;
  /** The schema for the answer, parsed as JSON; null: any text is allowed. */
  readonly schema: JsonObject | null;
  /** The model is asked again if the answer does not match. */
  readonly repair: boolean;
  /** 0–100, higher first. */
  readonly priority: number;
  /** Epoch milliseconds of the earliest start; null: at once. */
  readonly runAt: number | null;
  readonly maxAttempts: number;
  readonly webhookUrl: string | null;
  readonly idempotencyKey: string | null;
  /** The conversation that it continues. Missing: none. */
  readonly conversation?: TaskConversation;
  /** The job that does it, and its queue. Missing: it is a chat request, in the queue of its model. */
  readonly job?: { readonly kind: string; readonly lane: string };
}

/** The queue that a task waits in. */
export const laneOf = ({ job, model }: Pick<TaskOrder, "job" | "model">): string => job?.lane ?? model;

/** A task as stored. The record's id and tenant are the task's. */
export interface TaskRecord extends TaskOrder {
  readonly status: TaskStatus;
  /** The queue that it waits in while it may start, otherwise null. */
  readonly lane: string | null;
  /** Lower first. */
  readonly rank: number;
  /** Epoch milliseconds before which it does not start, while there is such a time. */
  readonly dueAt: number | null;
  /** Id of the trace of the request that created it; without a trace, the request's own id. */
  readonly traceId: string;
  /** The span its execution belongs to; missing: it is not traced. */
  readonly trace?: TraceHeaders;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Attempts that have ended. */
  readonly attempts: number;
  /** Epoch milliseconds at which the current or last attempt began. */
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly result: TaskResult | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** The most recent ones. */
  readonly logs: readonly TaskLogEntry[];
}

export const taskCollection: CollectionSpec<TaskRecord> = {
  name: "tasks",
  indexes: {
    lane: ["lane", "rank"],
    due: ["dueAt"],
    status: ["status"],
    tenant: ["@tenant"],
    tenantStatus: ["@tenant", "status"],
  },
  held: true,
};

/** The task of a tenant's idempotency key. The record's id consists of both. */
export interface IdempotencyRecord {
  readonly taskId: string;
}

export const idempotencyCollection: CollectionSpec<IdempotencyRecord> = { name: "task_keys", indexes: {}, held: true };

const MAX_LOGS = 100;

/** The request that creates a task. */
export interface TaskOrigin {
  readonly traceId: string;
  readonly trace: TraceHeaders | null;
}

export const newTask = (
  order: TaskOrder,
  { traceId, trace, now }: TaskOrigin & { readonly now: number },
): TaskRecord => {
  const dueAt = order.runAt !== null && order.runAt > now ? order.runAt : null;
  return {
    ...order,
    status: "pending",
    lane: dueAt === null ? laneOf(order) : null,
    rank: -order.priority,
    dueAt,
    traceId,
    ...(trace === null ? {} : { trace }),
    createdAt: now,
    updatedAt: now,
    attempts: 0,
    startedAt: null,
    finishedAt: null,
    result: null,
    error: null,
    logs: [{ at: now, level: "info", message: dueAt === null ? "queued" : "scheduled" }],
  };
};

/** The task in another status. Throws for an impossible transition: a bug. */
export function moved(
  task: TaskRecord,
  status: TaskStatus,
  change: Partial<Pick<TaskRecord, "lane" | "dueAt" | "attempts" | "startedAt" | "finishedAt" | "result" | "error">>,
  entry: TaskLogEntry,
): TaskRecord {
  if (!transitions[task.status].includes(status))
    throw new TypeError(`A task that is ${task.status} cannot become ${status}.`);
  return {
    ...task,
    lane: null,
    dueAt: null,
    ...change,
    status,
    updatedAt: entry.at,
    logs: [...task.logs, entry].slice(-MAX_LOGS),
  };
}

export const info = (at: number, message: string): TaskLogEntry => ({ at, level: "info", message });
