import { rm } from "node:fs/promises";
import type { Documents, DocumentType } from "../core/documents.ts";
import { processStartTime } from "../core/process.ts";

interface Entry {
  readonly instanceId: string;
  readonly pid: number;
  readonly startTime: string;
  /** Null: it listens on none. */
  readonly socketPath: string | null;
}

/** Kinds of processes that the daemon starts, each with its own record. */
const KINDS = ["engines", "workers"] as const;

const recordDocument: DocumentType<readonly Entry[]> = {
  title: "list of running processes",
  schema: 1,
  // After a power failure none of them is running.
  durable: false,
  parse: (value) => (Array.isArray(value) ? value.filter(isEntry) : null),
};

/** The running processes of a kind, on disk, so that the next daemon can terminate those that this one could not. */
export class RunRecord {
  readonly #documents: Documents;
  readonly #kind: (typeof KINDS)[number];
  readonly #entries = new Map<number, Entry>();
  #writing: Promise<void> = Promise.resolve();

  constructor(documents: Documents, kind: (typeof KINDS)[number]) {
    this.#documents = documents;
    this.#kind = kind;
  }

  async add(instanceId: string, pid: number, socketPath: string | null): Promise<void> {
    const startTime = await processStartTime(pid);
    if (startTime === null) return;
    this.#entries.set(pid, { instanceId, pid, startTime, socketPath });
    await this.#write();
  }

  async remove(pid: number): Promise<void> {
    if (this.#entries.delete(pid)) await this.#write();
  }

  /** Resolves when the last change is on disk, or could not be written. */
  written(): Promise<void> {
    return this.#writing.catch(() => {});
  }

  /** One write at a time, so that the document ends up with the last state of the map. */
  #write(): Promise<void> {
    this.#writing = this.#writing
      .catch(() => {})
      .then(() =>
        this.#entries.size === 0
          ? this.#documents.remove(this.#kind, recordDocument)
          : this.#documents.write(this.#kind, recordDocument, [...this.#entries.values()]),
      );
    return this.#writing;
  }
}

export interface Leftover {
  readonly instanceId: string;
  readonly pid: number;
  /** Whether it has exited now. */
  readonly ended: boolean;
}

const END_WITHIN_MS = 5_000;

/**
 * Terminates processes left running by an earlier daemon and clears its records. Call before the first start, while
 * holding the daemon's lock. A process that has reused a dead one's pid is left alone: its start time differs.
 */
export async function sweepLeftovers(documents: Documents): Promise<Leftover[]> {
  const swept = await Promise.all(
    KINDS.map(async (kind) => {
      const ended = await Promise.all(((await documents.read(kind, recordDocument)) ?? []).map(endLeftover));
      await documents.remove(kind, recordDocument);
      return ended;
    }),
  );
  return swept.flat().filter((leftover) => leftover !== null);
}

async function endLeftover(entry: Entry): Promise<Leftover | null> {
  const alive = async (): Promise<boolean> => (await processStartTime(entry.pid)) === entry.startTime;
  const wasAlive = await alive();
  if (wasAlive) {
    try {
      process.kill(-entry.pid, "SIGKILL");
    } catch {
      // It has just exited by itself.
    }
  }
  const deadline = performance.now() + END_WITHIN_MS;
  while (wasAlive && performance.now() < deadline && (await alive()))
    await new Promise((resolve) => setTimeout(resolve, 10));
  if (entry.socketPath !== null) await rm(entry.socketPath, { force: true });
  return wasAlive ? { instanceId: entry.instanceId, pid: entry.pid, ended: !(await alive()) } : null;
}

function isEntry(value: unknown): value is Entry {
  const entry = value as Partial<Entry> | null;
  return (
    typeof entry?.pid === "number" &&
    entry.pid > 1 &&
    typeof entry.startTime === "string" &&
    typeof entry.instanceId === "string" &&
    (entry.socketPath === null || typeof entry.socketPath === "string")
  );
}
