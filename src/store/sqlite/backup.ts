import { chmod, copyFile, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AssistantError } from "../../core/errors.ts";
import { writeFailure } from "../../core/writing.ts";
import type { SqliteStore } from "./store.ts";

export interface BackupResult {
  readonly directory: string;
  readonly blobs: number;
}

/**
 * Copies the store in `from` to the directory `to`, which must not exist yet, while a daemon may keep writing: all
 * records as of one moment, and every content they refer to. The copy gets its name when it is complete. Throws
 * `file_exists`.
 */
export async function backUp(from: string, to: string, store: SqliteStore): Promise<BackupResult> {
  const partial = `${to}.part`;
  if ((await readdir(to).catch(() => null)) !== null)
    throw new AssistantError("file_exists", `${to} exists already.`, {
      remedy: "Choose a directory that does not exist.",
    });
  try {
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true, mode: 0o700 });
    const database = join(partial, "records.db");
    await store.copyTo(database);
    // Included in copies of the backup, which contains prompts and answers.
    await chmod(database, 0o600);
    await synced(database);
    // After the records: what they name is there, since a content is older than the record that names it.
    const blobs = await copyBlobs(join(from, "blobs"), join(partial, "blobs"));
    await rename(partial, to);
    await synced(dirname(to));
    return { directory: to, blobs };
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw writeFailure("backup", to, error);
  }
}

async function copyBlobs(from: string, to: string): Promise<number> {
  const files = await readdir(from, { recursive: true, withFileTypes: true }).catch(() => []);
  let copied = 0;
  for (const file of files) {
    if (!file.isFile() || !/^[0-9a-f]{64}$/.test(file.name)) continue;
    const folder = join(to, file.name.slice(0, 2));
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // One that a sweep has deleted meanwhile is named by no record.
    const found = await copyFile(join(file.parentPath, file.name), join(folder, file.name)).then(() => true, gone);
    if (found) copied += 1;
  }
  return copied;
}

function gone(error: NodeJS.ErrnoException): false {
  if (error.code === "ENOENT") return false;
  throw error;
}

async function synced(path: string): Promise<void> {
  const file = await open(path, "r");
  await file.sync().finally(() => file.close());
}
