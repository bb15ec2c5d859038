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

/** What may follow each status. */
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
  /** `stop`, `length`, or what else the model's server says. */
  readonly finishReason: string;
  readonly usage: TaskUsage;
  /** Name of the model that answered: the task's own or one of its fallbacks. */
  readonly model: string;
  readonly reasoning: string | null;
}

/** Null where the model's server did not count. */
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

/** What a caller orders, with every rule of precedence applied. */
export interface TaskOrder {
  /** Name of a model of the directory. */
  readonly model: string;
  /** Names of those that are asked where it cannot answer. */
  readonly fallbacks: readonly string[];
  /** A chat request in OpenAI's format, without `model` and `stream`. */
  readonly request: JsonObject;
  /** What the answer must match once it is parsed as JSON; null: it may be any text. */
  readonly schema: JsonObject | null;
  /** The model is asked once more where the answer does not match. */
  readonly repair: boolean;
  /** 0–100, higher first. */
  readonly priority: number;
  /** Epoch milliseconds before which it does not start; null: at once. */
  readonly runAt: number | null;
  readonly maxAttempts: number;
  readonly webhookUrl: string | null;
  readonly idempotencyKey: string | null;
  /** The conversation that it goes on with. Missing: none. */
  readonly conversation?: TaskConversation;
  /** Which job does it, and in which queue it waits. Missing: it is a chat request, in the queue of its model. */
  readonly job?: { readonly kind: string; readonly lane: string };
}

/** The queue that a task waits in. */
export const laneOf = ({ job, model }: Pick<TaskOrder, "job" | "model">): string => job?.lane ?? model;

/** A task as the store has it. The record's id and tenant are the task's. */
export interface TaskRecord extends TaskOrder {
  readonly status: TaskStatus;
  /** The queue that it waits in while it may start, else null. */
  readonly lane: string | null;
  /** Lower first. */
  readonly rank: number;
  /** Epoch milliseconds until which it does not start, while there is such a time. */
  readonly dueAt: number | null;
  /** Id of the trace of the request that made it; of one without a trace, the request's own. */
  readonly traceId: string;
  /** What its execution is a part of; missing: of nothing that is traced. */
  readonly trace?: TraceHeaders;
  /** Epoch milliseconds. */
  readonly createdAt: number;
  readonly updatedAt: number;
  /** Attempts that have ended. */
  readonly attempts: number;
  /** Epoch milliseconds at which the present or last attempt began. */
  readonly startedAt: number | null;
  readonly finishedAt: number | null;
  readonly result: TaskResult | null;
  readonly error: { readonly code: string; readonly message: string } | null;
  /** The last of them. */
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

/** Which task a key of a tenant stands for. The record's id is made of both. */
export interface IdempotencyRecord {
  readonly taskId: string;
}

export const idempotencyCollection: CollectionSpec<IdempotencyRecord> = { name: "task_keys", indexes: {}, held: true };

const MAX_LOGS = 100;

/** The request that makes a task. */
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

/** The task in another status. Throws where it cannot follow the present one: a fault of ours. */
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
