import { statfs } from "node:fs/promises";
import { AssistantError } from "../core/errors.ts";

/** A figure as old as this is good enough, milliseconds. */
const FRESH_MS = 500;

/** Free room on a disk that clients do not get, so that what was accepted can still be finished and deleted. */
export class DiskFloor {
  readonly #directory: string;
  readonly #floorBytes: () => number;
  #found: { readonly at: number; readonly free: Promise<number> } | null = null;

  /** `floorBytes` is read each time. */
  constructor(directory: string, floorBytes: () => number) {
    this.#directory = directory;
    this.#floorBytes = floorBytes;
  }

  /** Rejects with `disk_full` where less is free. */
  async require(): Promise<void> {
    const floor = this.#floorBytes();
    if (floor === 0) return;
    const now = performance.now();
    if (this.#found === null || now - this.#found.at > FRESH_MS)
      this.#found = { at: now, free: freeBytes(this.#directory) };
    const free = await this.#found.free;
    if (free >= floor) return;
    throw new AssistantError(
      "disk_full",
      `The disk of ${this.#directory} has ${Math.floor(free / 2 ** 20)} MiB left; below ${Math.ceil(floor / 2 ** 20)} MiB ([server] min_free_disk_mib) nothing more is stored for clients.`,
      { remedy: "Free some disk space, then try again." },
    );
  }
}

/** What cannot be known is no reason to refuse: the write itself fails where the disk is full. */
async function freeBytes(directory: string): Promise<number> {
  try {
    const { bavail, bsize } = await statfs(directory);
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}
