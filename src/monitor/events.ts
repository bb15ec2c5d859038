/** What a monitor reports, by type. A subscription names some of them. */
export const eventTypes = [
  "gpu_stats",
  "task.queued",
  "task.started",
  "task.progress",
  "task.completed",
  "task.failed",
  "task.cancelled",
  "model.loaded",
  "model.unloaded",
  "log",
] as const;
export type EventType = (typeof eventTypes)[number];

/** Something that has happened. */
export interface Happening {
  readonly type: EventType;
  readonly data: object;
  /** The task that it is about, and whose that is; null: it is about none. */
  readonly task: TaskIdentity | null;
  /** The version for watchers who may not see the task; null: none. Missing: the same. */
  readonly forOthers?: object | null;
}

export interface TaskIdentity {
  readonly id: string;
  readonly tenant: string;
}

/** A watcher: a tenant sees its own tasks' events, null those of all. */
export type Viewer = string | null;

export const maySee = (viewer: Viewer, task: TaskIdentity | null): boolean =>
  viewer === null || task === null || task.tenant === viewer;

/** Whether a pattern matches an event: `*` all, `PREFIX.*` those with that prefix, otherwise the one with that name. */
export const matches = (pattern: string, type: string): boolean =>
  pattern === "*" || pattern === type || (pattern.endsWith(".*") && type.startsWith(pattern.slice(0, -1)));

/** A message as clients get it. `timestamp`: epoch seconds. */
export const envelope = (type: string, now: number, fields: object): string =>
  JSON.stringify({ type, timestamp: now / 1000, ...fields });
