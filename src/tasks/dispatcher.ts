import type { TaskOrder } from "./record.ts";

export interface Announcement {
  /** Whoever acknowledges the tasks waits for this. Rejects with `store_unavailable`: they must not stay. */
  readonly done: Promise<void>;
}

/** Chooses which tasks run here, and when. The record of a task is the truth: whoever starts it claims it there. */
export interface Dispatcher {
  /** Takes up what a daemon that ended left, and begins. May be called again where the store failed. */
  start(): Promise<void>;
  /** Starts nothing more. */
  stop(): void;
  /** Resolves when nothing is taken any longer; after `stop`. */
  settled(): Promise<void>;
  /**
   * These tasks are about to be stored. Resolves when the store may be asked to: it learns of the announcement first.
   * Rejects with `store_unavailable`.
   */
  announce(tasks: readonly { readonly id: string; readonly order: TaskOrder }[]): Promise<Announcement>;
  /** A task of the queue may start. */
  wake(lane: string): void;
  /** A task starts no sooner than this, epoch milliseconds. */
  wakeAt(dueAt: number): void;
}
