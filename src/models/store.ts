import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Documents } from "../core/documents.ts";
import { type Manifest, manifestDocument } from "./manifest.ts";
import { checkModelName, isModelName } from "./names.ts";
import { makeFolder } from "./pull/modes.ts";

/** Where pulled models are kept. */
export interface ModelStore {
  readonly weightsDir: string;
  /** A document for each model that was pulled, under the model's name. */
  readonly manifests: Documents;
}

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

export const weightsFile = (weightsDir: string, name: string): string =>
  join(weightsDir, `${checkModelName(name)}${SUFFIX}`);

/** The model of this name, or null. Throws `usage` for what cannot be a name. */
export async function getModel({ weightsDir, manifests }: ModelStore, name: string): Promise<StoredModel | null> {
  const file = weightsFile(weightsDir, name);
  const found = await stat(file).catch(nullIfMissing);
  if (found === null || !found.isFile()) return null;
  const manifest = await manifests.read(name, manifestDocument);
  const pulledAt = manifest === null ? Number.NaN : Date.parse(manifest.pulledAt);
  return { name, file, bytes: found.size, modifiedAt: Number.isNaN(pulledAt) ? found.mtimeMs : pulledAt, manifest };
}

/** All models of the store, the newest first. An absent directory holds none. */
export async function listModels(store: ModelStore): Promise<StoredModel[]> {
  const entries = (await readdir(store.weightsDir).catch(nullIfMissing)) ?? [];
  const names = entries.filter((entry) => entry.endsWith(SUFFIX)).map((entry) => entry.slice(0, -SUFFIX.length));
  const models = await Promise.all(names.filter(isModelName).map((name) => getModel(store, name)));
  return models
    .filter((model) => model !== null)
    .sort((a, b) => b.modifiedAt - a.modifiedAt || a.name.localeCompare(b.name));
}

/** The model that was pulled for this canonical reference, or null. A name equal to the reference wins. */
export async function findByReference(store: ModelStore, reference: string): Promise<StoredModel | null> {
  const named = isModelName(reference) ? await getModel(store, reference) : null;
  return named ?? (await listModels(store)).find((model) => model.manifest?.reference === reference) ?? null;
}

/** Deletes weights, manifest and what an interrupted pull left. False where there was no such model. */
export async function removeModel(store: ModelStore, name: string): Promise<boolean> {
  const { weightsDir } = store;
  const model = await getModel(store, name);
  // The manifest goes last: a deletion that is cut short leaves no weights of unknown origin.
  for (const file of [weightsFile(weightsDir, name), ...partialFiles(weightsDir, name)])
    await rm(file, { force: true });
  await store.manifests.remove(name, manifestDocument);
  await rm(`${partialFiles(weightsDir, name)[0]}.pip`, { force: true, recursive: true });
  return model !== null;
}

/** The unfinished download of a model, and the note of where it came from. */
export const partialFiles = (weightsDir: string, name: string): readonly [data: string, note: string] => {
  const data = join(weightsDir, `.${checkModelName(name)}.partial`);
  return [data, `${data}.json`];
};

export async function writeManifest({ weightsDir, manifests }: ModelStore, manifest: Manifest): Promise<void> {
  await makeFolder(weightsDir);
  await manifests.write(checkModelName(manifest.name), manifestDocument, manifest);
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
  throw error;
}
