import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, stat } from "node:fs/promises";
import { join } from "node:path";
import { AssistantError } from "../../core/errors.ts";
import { findByDigest, getModel, type ModelStore, partsFolder, type StoredModel, writeManifest } from "../store.ts";
import type { Job } from "./job.ts";
import { localSource } from "./local.ts";
import type { PulledModel, Source, WantedFile } from "./types.ts";

/**
 * The model that `job` would bring, where the store has it already; null where it does not. Throws `file_exists` where
 * the name belongs to another file.
 */
export async function alreadyStored(job: Job, store: ModelStore, signal: AbortSignal): Promise<PulledModel | null> {
  const model = await getModel(store, job.name);
  if (model === null) return null;
  const { manifest } = model;
  // Shorter or longer than when it was pulled: damaged, to be pulled again.
  if (manifest !== null && manifest.bytes !== model.bytes) return null;
  const sha256 = await digestIfSame(job, model, signal);
  if (sha256 !== null) return pulled(job, model, sha256, store);
  // Pulled without the projector, as earlier versions did: the weights are linked, and only that is downloaded.
  if (job.files.length > 1 && manifest?.files === undefined && manifest?.sha256 === job.files[0].expected.sha256)
    return null;
  throw new AssistantError(
    "file_exists",
    `There is another model named ${job.name}, from ${manifest?.reference ?? "a file put there by hand"}.`,
    {
      param: "name",
      remedy: `Choose another name with \`--name\`, or remove that one first: \`assistant rm ${job.name}\`.`,
    },
  );
}

/** The digest of the stored model if it is what the job wants, else null. */
async function digestIfSame(job: Job, model: StoredModel, signal: AbortSignal): Promise<string | null> {
  const { manifest } = model;
  const [{ expected }, ...others] = job.files;
  if (others.length > 0 || manifest?.files !== undefined) {
    const has = new Map(manifest?.files?.map((file) => [file.name, file.sha256]));
    const same =
      job.files.length === has.size &&
      job.files.every(
        ({ name, expected: { sha256 } }) => has.has(name) && (sha256 === null || has.get(name) === sha256),
      ) &&
      // Without digests, only the source identifies it.
      (job.files.every((file) => file.expected.sha256 !== null) || manifest?.reference === job.reference);
    return same ? (manifest?.sha256 ?? null) : null;
  }
  const wanted = expected.sha256 ?? (await digestOfImport(job, model, signal));
  const has = manifest?.sha256 ?? (wanted === null ? null : await sha256Of(model.file, signal));
  const same = wanted === null ? manifest?.reference === job.reference : has === wanted;
  return same ? has : null;
}

async function pulled(job: Job, model: StoredModel, sha256: string, store: ModelStore): Promise<PulledModel> {
  const { name, bytes, file, projector, manifest } = model;
  const facts = {
    name,
    bytes,
    sha256,
    ...(manifest?.files === undefined ? {} : { files: manifest.files }),
    reference: manifest?.reference ?? job.reference,
    source: manifest?.source ?? "put there by hand",
    licence: manifest?.licence ?? job.licence,
  };
  // Found right by its digest: from now on it need not be hashed again.
  if (manifest === null) await writeManifest(store, { ...facts, pulledAt: new Date(model.modifiedAt).toISOString() });
  return { ...facts, file, projector, alreadyPresent: true };
}

async function digestOfImport(job: Job, model: StoredModel, signal: AbortSignal): Promise<string | null> {
  if (job.path === null) return null;
  const found = await stat(job.path).catch(() => null);
  return found?.isFile() && found.size === model.bytes ? sha256Of(job.path, signal) : null;
}

/**
 * Places of this machine that have the bytes already: another model, or a pull that was ended when all files were
 * there.
 */
export async function storedSources(
  { name, expected: { sha256 } }: WantedFile,
  model: string,
  store: ModelStore,
): Promise<Source[]> {
  if (sha256 === null) return [];
  const gathered = join(partsFolder(store.weightsDir, model), name);
  const isThere = await access(gathered).then(
    () => true,
    () => false,
  );
  const known = isThere ? { file: gathered, source: "an earlier pull" } : await findByDigest(store, sha256);
  return known === null ? [] : [{ ...localSource(known.file), label: known.source }];
}

/** SHA-256 of a file, lower-case hex. */
export async function sha256Of(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>)
    hash.update(chunk);
  return hash.digest("hex");
}
