import { close, fdatasync, open } from "node:fs";

const SYNC_EVERY_MS = 1_000;

/**
 * Syncs a file to disk a second after something was written to it, without blocking the writer. The write-ahead log may
 * be opened in parallel to SQLite: its locks are on other files.
 */
export class LateSync {
  readonly #file: string;
  #timer: NodeJS.Timeout | null = null;

  constructor(file: string) {
    this.#file = file;
  }

  /** Something was written. */
  wanted(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#sync();
    }, SYNC_EVERY_MS);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #sync(): void {
    // If it is gone, a checkpoint has moved all of it into the database, and synced that. Other failures recur in the
    // next checkpoint, which SQLite reports.
    open(this.#file, "r+", (failure, descriptor) => {
      if (failure === null) fdatasync(descriptor, () => close(descriptor));
    });
  }
}
