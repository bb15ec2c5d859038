import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { AssistantError } from "../../core/errors.ts";
import { getModel, type ModelStore, type StoredModel, writeManifest } from "../store.ts";
import type { Job } from "./job.ts";
import type { PulledModel } from "./types.ts";

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
  const wanted = job.expected.sha256 ?? (await digestOfImport(job, model, signal));
  const has = manifest?.sha256 ?? (wanted === null ? null : await sha256Of(model.file, signal));
  const same = wanted === null ? manifest?.reference === job.reference : has === wanted;
  if (same && has !== null) return pulled(job, model, has, store);
  throw new AssistantError(
    "file_exists",
    `There is another model named ${job.name}, from ${manifest?.reference ?? "a file put there by hand"}.`,
    {
      param: "name",
      remedy: `Choose another name with \`--name\`, or remove that one first: \`assistant rm ${job.name}\`.`,
    },
  );
}

async function pulled(job: Job, model: StoredModel, sha256: string, store: ModelStore): Promise<PulledModel> {
  const { name, bytes, file, manifest } = model;
  const facts = {
    name,
    bytes,
    sha256,
    reference: manifest?.reference ?? job.reference,
    source: manifest?.source ?? "put there by hand",
    licence: manifest?.licence ?? job.licence,
  };
  // Found right by its digest: from now on it need not be hashed again.
  if (manifest === null) await writeManifest(store, { ...facts, pulledAt: new Date(model.modifiedAt).toISOString() });
  return { ...facts, file, alreadyPresent: true };
}

async function digestOfImport(job: Job, model: StoredModel, signal: AbortSignal): Promise<string | null> {
  if (job.path === null) return null;
  const found = await stat(job.path).catch(() => null);
  return found?.isFile() && found.size === model.bytes ? sha256Of(job.path, signal) : null;
}

/** SHA-256 of a file, lower-case hex. */
export async function sha256Of(file: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>)
    hash.update(chunk);
  return hash.digest("hex");
}
