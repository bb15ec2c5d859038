import { existsSync } from "node:fs";
import { mkdir, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";
import { lock } from "proper-lockfile";

const LOOK_EVERY_MS = 100;

/**
 * Makes a file or folder that test runs keep, where it is missing, and returns its path. Of processes that want it at
 * once one makes it, and the others wait. `make` gets the path to write to.
 */
export async function madeOnce(target: string, make: (draft: string) => Promise<unknown>): Promise<string> {
  if (existsSync(target)) return target;
  await mkdir(dirname(target), { recursive: true });
  const retries = { forever: true, minTimeout: LOOK_EVERY_MS, maxTimeout: LOOK_EVERY_MS };
  const release = await lock(target, { realpath: false, stale: 30_000, retries });
  try {
    if (existsSync(target)) return target;
    const draft = `${target}.part`;
    await rm(draft, { recursive: true, force: true });
    await make(draft);
    await rename(draft, target);
    return target;
  } finally {
    await release();
  }
}
