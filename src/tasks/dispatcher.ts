import type { TaskOrder } from "./record.ts";

export interface Announcement {
  /** Await this before acknowledging the tasks. Rejects with `store_unavailable`: they must be removed again. */
  readonly done: Promise<void>;
}

/**
 * Decides which tasks run here, and when. The record of a task is authoritative: it is claimed there before it is
 * started.
 */
export interface Dispatcher {
  /** Resumes what an earlier daemon left, and starts work. May be called again if the store failed. */
  start(): Promise<void>;
  /** Starts no more tasks. */
  stop(): void;
  /** Resolves when no more tasks are claimed; after `stop`. */
  settled(): Promise<void>;
  /**
   * These tasks are about to be stored. Resolves when the store may be called: the announcement must come first.
   * Rejects with `store_unavailable`.
   */
  announce(tasks: readonly { readonly id: string; readonly order: TaskOrder }[]): Promise<Announcement>;
  /** A task of the queue may start. */
  wake(lane: string): void;
  /** A task starts no earlier than this, epoch milliseconds. */
  wakeAt(dueAt: number): void;
}
