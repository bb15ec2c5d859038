import { cp, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { AssistantError, isAssistantError } from "../../core/errors.ts";
import { writeFailure } from "../../core/writing.ts";
import { SqliteStore } from "./store.ts";

export interface RestoreResult {
  readonly directory: string;
  readonly blobs: number;
  /** The new path of the previous store; null: there was none. */
  readonly replaced: string | null;
}

/** Of a backup; whatever else is there stays behind. */
const PARTS = /^(records\.db(-wal)?|blobs(\/.*)?)$/;

/**
 * Replaces the store in `to`, which no process may have open, by a copy of the backup in `from`. The copy is checked
 * first; the previous store is moved aside, never deleted. Throws `usage` if there is no backup, `store_unavailable`
 * for a damaged one and `data_newer` for one of a newer version.
 */
export async function restore(from: string, to: string, now: Date): Promise<RestoreResult> {
  const found = await stat(join(from, "records.db")).catch(() => null);
  if (found === null || !found.isFile())
    throw new AssistantError("usage", `There is no backup in ${from}: expected a file records.db there.`, {
      remedy: "Name a directory that `assistant store backup` created.",
    });
  const draft = `${to}.restoring`;
  const aside = `${to}.replaced-${now.toISOString().replaceAll(":", "-")}`;
  try {
    await rm(draft, { recursive: true, force: true });
    await cp(from, draft, {
      recursive: true,
      filter: (path) => path === from || PARTS.test(relative(from, path)),
    });
    await requireSound(draft);
    const replaced = await rename(to, aside).then(() => aside, absent);
    await rename(draft, to);
    await synced(dirname(to));
    const files = await readdir(join(to, "blobs"), { recursive: true, withFileTypes: true }).catch(() => []);
    return { directory: to, blobs: files.filter((file) => file.isFile()).length, replaced };
  } catch (error) {
    await rm(draft, { recursive: true, force: true });
    throw writeFailure("store", to, error);
  }
}

async function requireSound(draft: string): Promise<void> {
  const store = new SqliteStore({ directory: draft, guest: true, report: () => {} });
  const problems = await store
    .check()
    .catch((error: unknown) => {
      if (isAssistantError(error) && error.code === "store_unavailable") return [error.message];
      throw error;
    })
    .finally(() => store.close());
  if (problems.length > 0)
    throw new AssistantError(
      "store_unavailable",
      `The backup is damaged, and the store was not changed: ${problems[0]}`,
      {
        remedy: "Restore another backup.",
      },
    );
  await synced(join(draft, basename(store.location)));
}

function absent(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw error;
}

async function synced(path: string): Promise<void> {
  const file = await open(path, "r");
  await file.sync().finally(() => file.close());
}
