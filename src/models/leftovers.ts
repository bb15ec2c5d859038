import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { check } from "proper-lockfile";
import { manifestDocument } from "./manifest.ts";
import { isModelName } from "./names.ts";
import { STALE_MS } from "./pull/lock.ts";
import { getModel, type ModelStore, weightsFile } from "./store.ts";

/** Something in the store that belongs to no model. */
export interface Leftover {
  /** The model that it was to become, or was. */
  readonly name: string;
  /** An unfinished download, or a manifest whose model is gone. */
  readonly kind: "download" | "manifest";
  readonly paths: readonly string[];
  readonly bytes: number;
  /** Epoch milliseconds. */
  readonly changedAt: number;
}

const UNFINISHED = /^\.(.+)\.(partial|partial\.json|partial\.package|parts)$/;
const MANIFEST = /^([^.].*)\.json$/;

/** What interrupted pulls and deletions have left; a pull that runs, here or in another process, is not among them. */
export async function findLeftovers(store: ModelStore): Promise<Leftover[]> {
  const names = await readdir(store.weightsDir).catch(() => []);
  const found = new Map<string, { kind: Leftover["kind"]; name: string; paths: string[] }>();
  for (const entry of names) {
    const download = UNFINISHED.exec(entry)?.[1];
    const manifest = MANIFEST.exec(entry)?.[1];
    const name = download ?? manifest;
    if (name === undefined || !isModelName(name)) continue;
    if (download === undefined && (await getModel(store, name)) !== null) continue;
    const kind = download === undefined ? "manifest" : "download";
    const leftover = found.get(`${kind} ${name}`) ?? { kind, name, paths: [] };
    leftover.paths.push(join(store.weightsDir, entry));
    found.set(`${kind} ${name}`, leftover);
  }
  const leftovers: Leftover[] = [];
  for (const leftover of found.values())
    if (!(await isLocked(store, leftover.name))) leftovers.push({ ...leftover, ...(await sizeOf(leftover.paths)) });
  return leftovers.sort((a, b) => a.name.localeCompare(b.name));
}

export async function removeLeftover(store: ModelStore, { name, kind, paths }: Leftover): Promise<void> {
  if (await isLocked(store, name)) return;
  if (kind === "manifest") return await store.manifests.remove(name, manifestDocument);
  for (const path of paths) await rm(path, { recursive: true, force: true });
}

const STALE_AFTER_MS = 14 * 86_400_000;

/** Removes downloads that were not resumed for two weeks. */
export async function sweepStale(store: ModelStore, now: number): Promise<void> {
  for (const leftover of await findLeftovers(store))
    if (leftover.kind === "download" && now - leftover.changedAt > STALE_AFTER_MS)
      await removeLeftover(store, leftover);
}

const isLocked = ({ weightsDir }: ModelStore, name: string): Promise<boolean> =>
  check(weightsFile(weightsDir, name), {
    lockfilePath: join(weightsDir, `.${name}.lock`),
    realpath: false,
    stale: STALE_MS,
  });

async function sizeOf(paths: readonly string[]): Promise<{ bytes: number; changedAt: number }> {
  let bytes = 0;
  let changedAt = 0;
  for (const path of paths) {
    const inside = (await readdir(path).catch(() => [])).map((name) => join(path, name));
    for (const file of [path, ...inside]) {
      const found = await stat(file).catch(() => null);
      if (found?.isFile() === true) bytes += found.size;
      changedAt = Math.max(changedAt, found?.mtimeMs ?? 0);
    }
  }
  return { bytes, changedAt };
}
