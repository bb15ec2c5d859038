import { readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import writeFileAtomic from "write-file-atomic";
import { type Manifest, parseManifest } from "./manifest.ts";
import { checkModelName, isModelName } from "./names.ts";
import { FILE_MODE, makeFolder } from "./pull/modes.ts";

/** A model file in the store. A file that somebody put there by hand has no manifest and counts all the same. */
export interface StoredModel {
  readonly name: string;
  /** Absolute. */
  readonly file: string;
  readonly bytes: number;
  /** Epoch milliseconds; the file's own time where there is no manifest. */
  readonly modifiedAt: number;
  readonly manifest: Manifest | null;
}

const SUFFIX = ".gguf";

export const weightsFile = (weightsDir: string, name: string): string => join(weightsDir, `${checkModelName(name)}${SUFFIX}`);
const manifestFile = (weightsDir: string, name: string): string => join(weightsDir, `${checkModelName(name)}.json`);

/** The model of this name, or null. Throws `usage` for what cannot be a name. */
export async function getModel(weightsDir: string, name: string): Promise<StoredModel | null> {
  const file = weightsFile(weightsDir, name);
  const found = await stat(file).catch(nullIfMissing);
  if (found === null || !found.isFile()) return null;
  const text = await readFile(manifestFile(weightsDir, name), "utf8").catch(nullIfMissing);
  const manifest = text === null ? null : parseManifest(text);
  const pulledAt = manifest === null ? Number.NaN : Date.parse(manifest.pulledAt);
  return { name, file, bytes: found.size, modifiedAt: Number.isNaN(pulledAt) ? found.mtimeMs : pulledAt, manifest };
}

/** All models of the store, the newest first. An absent directory holds none. */
export async function listModels(weightsDir: string): Promise<StoredModel[]> {
  const entries = (await readdir(weightsDir).catch(nullIfMissing)) ?? [];
  const names = entries.filter((entry) => entry.endsWith(SUFFIX)).map((entry) => entry.slice(0, -SUFFIX.length));
  const models = await Promise.all(names.filter(isModelName).map((name) => getModel(weightsDir, name)));
  return models.filter((model) => model !== null).sort((a, b) => b.modifiedAt - a.modifiedAt || a.name.localeCompare(b.name));
}

/** The model that was pulled for this canonical reference, or null. A name equal to the reference wins. */
export async function findByReference(weightsDir: string, reference: string): Promise<StoredModel | null> {
  const named = isModelName(reference) ? await getModel(weightsDir, reference) : null;
  return named ?? (await listModels(weightsDir)).find((model) => model.manifest?.reference === reference) ?? null;
}

/** Deletes weights, manifest and what an interrupted pull left. False where there was no such model. */
export async function removeModel(weightsDir: string, name: string): Promise<boolean> {
  const model = await getModel(weightsDir, name);
  // The manifest goes last: a deletion that is cut short leaves no weights of unknown origin.
  for (const file of [weightsFile(weightsDir, name), ...partialFiles(weightsDir, name), manifestFile(weightsDir, name)]) await rm(file, { force: true });
  await rm(`${partialFiles(weightsDir, name)[0]}.pip`, { force: true, recursive: true });
  return model !== null;
}

/** The unfinished download of a model, and the note of where it came from. */
export const partialFiles = (weightsDir: string, name: string): readonly [data: string, note: string] => {
  const data = join(weightsDir, `.${checkModelName(name)}.partial`);
  return [data, `${data}.json`];
};

export async function writeManifest(weightsDir: string, manifest: Manifest): Promise<void> {
  await makeFolder(weightsDir);
  await writeFileAtomic(manifestFile(weightsDir, manifest.name), `${JSON.stringify(manifest, null, 2)}\n`, { mode: FILE_MODE });
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
  throw error;
}
