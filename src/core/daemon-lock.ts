import { link, lstat, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AssistantError } from "./errors.ts";
import { processStartTime } from "./process.ts";

/**
 * The holder of a data directory. The start time distinguishes a live holder from another process with the same pid.
 */
export interface LockHolder {
  readonly pid: number;
  readonly startTime: string;
}

export interface DaemonLock {
  release(): Promise<void>;
}

const fileOf = (dataDir: string): string => join(dataDir, "daemon.lock");

/** `since`: when it took the lock, epoch milliseconds. */
type DatedHolder = LockHolder & { readonly since: number };

/** The daemon that owns `dataDir` and is alive, or null. */
export async function lockHolder(dataDir: string): Promise<DatedHolder | null> {
  const holder = await lastHolder(dataDir);
  return holder?.isAlive ? holder : null;
}

/** The last daemon that took the lock of `dataDir` and did not release it, or null. */
export async function lastHolder(dataDir: string): Promise<(DatedHolder & { readonly isAlive: boolean }) | null> {
  const found = await lstat(fileOf(dataDir)).catch(() => null);
  if (found === null || !found.isFile()) return null;
  const holder = await readLock(fileOf(dataDir));
  return holder && { ...holder, since: found.mtimeMs, isAlive: await isAlive(holder) };
}

/**
 * Takes the lock of a data directory for this process. Throws `daemon_running` while another live daemon
 * holds it. A lock whose holder has died, or whose pid now belongs to another program, is taken over.
 */
export async function acquireLock(dataDir: string): Promise<DaemonLock> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const file = fileOf(dataDir);
  const mine: LockHolder = { pid: process.pid, startTime: (await processStartTime(process.pid)) ?? "" };
  const draft = `${file}.${process.pid}`;
  try {
    // Inside the try block: a full disk leaves an incomplete file.
    await writeFile(draft, JSON.stringify(mine), { mode: 0o600 });
    for (;;) {
      // link() either makes the complete file appear or fails: no reader ever sees half a lock.
      if (await linked(draft, file)) return { release: () => releaseLock(file, mine) };
      await refuseForeign(file);
      const holder = await readLock(file);
      if (holder && (await isAlive(holder))) {
        throw new AssistantError("daemon_running", `Another daemon (pid ${holder.pid}) already serves ${dataDir}.`, {
          remedy: "Use it, or end it with `assistant stop`.",
        });
      }
      await discardStale(file, holder);
    }
  } finally {
    await rm(draft, { force: true });
  }
}

async function linked(draft: string, file: string): Promise<boolean> {
  try {
    await link(draft, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Anything at the lock's path that is not a file is not a lock, and not ours to delete. */
async function refuseForeign(file: string): Promise<void> {
  const found = await lstat(file).catch(() => null);
  if (found === null || found.isFile()) return;
  const what = found.isDirectory() ? "a directory" : found.isSymbolicLink() ? "a symbolic link" : "no regular file";
  throw new AssistantError("not_writable", `The daemon's lock ${file} is ${what}; expected a file, or nothing.`, {
    remedy: "Remove it, or choose another data directory with ASSISTANT_DATA_DIR.",
  });
}

/** Moves a stale lock aside before deleting it: of several starters that saw it, only one can move it. */
async function discardStale(file: string, seen: LockHolder | null): Promise<void> {
  const aside = `${file}.stale.${process.pid}`;
  try {
    await rename(file, aside);
  } catch {
    return;
  }
  const moved = await readLock(aside);
  // Between reading and moving, a quicker starter may have put its own lock there: give it back.
  if (moved && (moved.pid !== seen?.pid || moved.startTime !== seen?.startTime)) await linked(aside, file);
  await rm(aside, { force: true });
}

async function releaseLock(file: string, mine: LockHolder): Promise<void> {
  const holder = await readLock(file);
  if (holder?.pid === mine.pid && holder.startTime === mine.startTime) await rm(file, { force: true });
}

async function readLock(file: string): Promise<LockHolder | null> {
  try {
    const value = JSON.parse(await readFile(file, "utf8")) as Partial<LockHolder>;
    return typeof value.pid === "number" && typeof value.startTime === "string"
      ? { pid: value.pid, startTime: value.startTime }
      : null;
  } catch {
    return null;
  }
}

async function isAlive(holder: LockHolder): Promise<boolean> {
  const startTime = await processStartTime(holder.pid);
  return startTime !== null && startTime === holder.startTime;
}
