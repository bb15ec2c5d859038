import { readdir, rm, rmdir, stat } from "node:fs/promises";
import { join } from "node:path";
import type { Documents } from "../core/documents.ts";
import { type ModelFileFacts, modelsAmong, partsOf } from "./file-set.ts";
import { type Manifest, manifestDocument } from "./manifest.ts";
import { checkModelName, isModelName } from "./names.ts";
import { makeFolder } from "./pull/modes.ts";

/** Where pulled models are stored. */
export interface ModelStore {
  readonly weightsDir: string;
  /** A document for each model that was pulled, under the model's name. */
  readonly manifests: Documents;
  /** What is in it, where it was listed once for all that follows (`listedOnce`). */
  readonly listed?: () => Promise<readonly StoredModel[]>;
}

/** The store as it is when it is first asked: for looking up many models, each of which would list all of it. */
export function listedOnce(store: ModelStore): ModelStore {
  let listed: Promise<readonly StoredModel[]> | null = null;
  const list = (): Promise<readonly StoredModel[]> => {
    listed ??= listModels(store);
    return listed;
  };
  return { ...store, listed: list };
}

/** A model in the store. Files placed there by hand have no manifest and count too. */
export interface StoredModel {
  readonly name: string;
  /** Absolute; the first one of weights in several parts. */
  readonly file: string;
  /** The multimodal projector that belongs to it, or null. */
  readonly projector: string | null;
  /** All files, the weights first. */
  readonly files: readonly string[];
  /** Of all files together. */
  readonly bytes: number;
  /** Epoch milliseconds; the file's own time if there is no manifest. */
  readonly modifiedAt: number;
  readonly manifest: Manifest | null;
}

const SUFFIX = ".gguf";
const VOICE_SUFFIX = ".onnx";

/** The weights of a model that is one file; `isVoice`: of one that speaks. */
export const weightsFile = (weightsDir: string, name: string, isVoice = false): string =>
  join(weightsDir, `${checkModelName(name)}${isVoice ? VOICE_SUFFIX : SUFFIX}`);

/** The folder of a model that is several files. */
export const modelFolder = (weightsDir: string, name: string): string => join(weightsDir, checkModelName(name));

/** The model of this name, or null. Throws `usage` for what cannot be a name. */
export async function getModel(store: ModelStore, name: string): Promise<StoredModel | null> {
  const single = weightsFile(store.weightsDir, name);
  const found = await stat(single).catch(nullIfMissing);
  if (found?.isFile() === true)
    return stored(name, partsOf(single), null, await store.manifests.read(name, manifestDocument));
  const folder = modelFolder(store.weightsDir, name);
  const names = await readdir(folder).catch(nullIfMissing);
  const voice = weightsFile(store.weightsDir, name, true);
  // Null if there is none.
  if (names === null) return stored(name, [voice], null, await store.manifests.read(name, manifestDocument));
  const manifest = await store.manifests.read(name, manifestDocument);
  const { weights, projector } = manifest?.files === undefined ? byHand(name, names) : listed(manifest.files);
  const inside = (file: string): string => join(folder, file);
  return stored(name, weights.map(inside), projector === null ? null : inside(projector), manifest);
}

interface Roles {
  readonly weights: readonly string[];
  readonly projector: string | null;
}

const listed = (files: readonly ModelFileFacts[]): Roles => ({
  weights: files.filter(({ role }) => role === "weights").map((file) => file.name),
  projector: files.find(({ role }) => role === "projector")?.name ?? null,
});

/** A folder created by hand: the model with the folder's name, otherwise the first. */
function byHand(name: string, names: readonly string[]): Roles {
  const { models } = modelsAmong(names.toSorted());
  // One whose parts are not all there is a model too, that cannot be used.
  const rest = names.filter((file) => file.endsWith(SUFFIX)).flatMap((file) => partsOf(file).slice(0, 1));
  return (
    models.find(({ weights }) => weights[0] === `${name}${SUFFIX}`) ??
    models[0] ?? { weights: rest.slice(0, 1), projector: null }
  );
}

async function stored(
  name: string,
  weights: readonly string[],
  projector: string | null,
  manifest: Manifest | null,
): Promise<StoredModel | null> {
  const files = projector === null ? weights : [...weights, projector];
  const [file] = weights;
  const found = await Promise.all(files.map((one) => stat(one).catch(nullIfMissing)));
  const first = found.find((one) => one !== null);
  // Not there, or gone since it was seen.
  if (file === undefined || first === undefined || first === null) return null;
  const pulledAt = manifest === null ? Number.NaN : Date.parse(manifest.pulledAt);
  return {
    name,
    file,
    projector,
    files,
    bytes: found.reduce((sum, one) => sum + (one?.size ?? 0), 0),
    modifiedAt: Number.isNaN(pulledAt) ? first.mtimeMs : pulledAt,
    manifest,
  };
}

/** All models of the store, the newest first. An absent directory holds none. */
export async function listModels(store: ModelStore): Promise<readonly StoredModel[]> {
  if (store.listed !== undefined) return await store.listed();
  const entries = (await readdir(store.weightsDir, { withFileTypes: true }).catch(nullIfMissing)) ?? [];
  const names = entries.flatMap((entry) => {
    if (entry.isDirectory()) return [entry.name];
    const suffix = [SUFFIX, VOICE_SUFFIX].find((ending) => entry.name.endsWith(ending));
    return suffix === undefined ? [] : [entry.name.slice(0, -suffix.length)];
  });
  const known = new Set(names);
  // Parts next to the first one belong to its model.
  const ownNames = [...known].filter((name) => {
    const [first] = partsOf(`${name}${SUFFIX}`);
    return isModelName(name) && (first === `${name}${SUFFIX}` || !known.has(first.slice(0, -SUFFIX.length)));
  });
  const models = await Promise.all(ownNames.map((name) => getModel(store, name)));
  return models
    .filter((model) => model !== null)
    .sort((a, b) => b.modifiedAt - a.modifiedAt || a.name.localeCompare(b.name));
}

/** The model that was pulled for this canonical reference, or null. A name equal to the reference wins. */
export async function findByReference(store: ModelStore, reference: string): Promise<StoredModel | null> {
  const named = isModelName(reference) && store.listed === undefined ? await getModel(store, reference) : null;
  if (named !== null) return named;
  const models = await listModels(store);
  return (
    models.find(({ name }) => name === reference) ??
    models.find(({ manifest }) => manifest?.reference === reference) ??
    null
  );
}

/** A file of the store with this digest, by what its manifest says, or null. `source`: where its bytes came from. */
export async function findByDigest(
  store: ModelStore,
  sha256: string,
): Promise<{ readonly file: string; readonly source: string } | null> {
  for (const { file, files, bytes, manifest } of await listModels(store)) {
    if (manifest === null || manifest.bytes !== bytes) continue;
    const { source } = manifest;
    if (manifest.files === undefined && manifest.sha256 === sha256) return { file, source };
    const index = manifest.files?.findIndex((one) => one.sha256 === sha256) ?? -1;
    const found = files.find((path) => path.endsWith(`/${manifest.files?.[index]?.name}`));
    if (found !== undefined) return { file: found, source };
  }
  return null;
}

/**
 * Deletes files, manifest and leftovers of an interrupted pull. False if there was no such model. Data that another
 * name links to is kept.
 */
export async function removeModel(store: ModelStore, name: string): Promise<boolean> {
  const { weightsDir } = store;
  const model = await getModel(store, name);
  // The manifest goes last: a deletion that is cut short leaves no weights of unknown origin.
  for (const file of model?.files ?? []) await rm(file, { force: true });
  // Other files in the folder belong to the user.
  await rmdir(modelFolder(weightsDir, name)).catch(() => {});
  for (const leftover of leftoversOf(weightsDir, name)) await rm(leftover, { force: true, recursive: true });
  await store.manifests.remove(name, manifestDocument);
  return model !== null;
}

/** The unfinished download of a model, and the note of where it came from. */
export const partialFiles = (weightsDir: string, name: string): readonly [data: string, note: string] => {
  const data = join(weightsDir, `.${checkModelName(name)}.partial`);
  return [data, `${data}.json`];
};

/** Where the files of a multi-file model are collected until all are complete. */
export const partsFolder = (weightsDir: string, name: string): string =>
  join(weightsDir, `.${checkModelName(name)}.parts`);

function leftoversOf(weightsDir: string, name: string): string[] {
  const [data, note] = partialFiles(weightsDir, name);
  return [data, note, `${data}.package`, partsFolder(weightsDir, name)];
}

export async function writeManifest({ weightsDir, manifests }: ModelStore, manifest: Manifest): Promise<void> {
  await makeFolder(weightsDir);
  await manifests.write(checkModelName(manifest.name), manifestDocument, manifest);
}

function nullIfMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
  throw error;
}
