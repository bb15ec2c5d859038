import type { Cancellation } from "../core/cancellation.ts";
import type { JsonObject } from "../core/inference.ts";
import type { TaskResult } from "./record.ts";

/** One attempt at a task that is done by a job. */
export interface JobRun {
  /** The task's. */
  readonly id: string;
  readonly tenant: string;
  readonly request: JsonObject;
  readonly cancellation: Cancellation;
  /** Aborted when the daemon stops. A run that rejects after that is repeated at the next start, and does not count. */
  readonly stopping: AbortSignal;
}

/** A kind of task other than a chat request. The queue stores it, starts it, and restarts it after a crash. */
export interface Job {
  /** How many of a model run at once, apart from its other tasks. Missing: they wait in the same queue. */
  readonly atOnce?: number;
  /** Does the remaining work. Rejects with the reason of a failure, or with `CallerGone`. */
  run(run: JobRun): Promise<TaskResult>;
}

export interface JobOrder {
  /** Id of the resulting task. */
  readonly id: string;
  readonly kind: string;
  readonly model: string;
  readonly request: JsonObject;
  readonly priority: number;
  /** Default: `[tasks] max_attempts`. */
  readonly maxAttempts?: number;
}

const SEPARATOR = "\n";

/** The queue of a kind that does not wait among a model's other tasks. */
export const laneOfKind = (kind: string, model: string): string => `${kind}${SEPARATOR}${model}`;

/** What a queue contains. `kind` null: chat requests, and jobs without a queue of their own. */
export function kindOfLane(lane: string): { readonly model: string; readonly kind: string | null } {
  const at = lane.indexOf(SEPARATOR);
  return at < 0 ? { model: lane, kind: null } : { model: lane.slice(at + SEPARATOR.length), kind: lane.slice(0, at) };
}
