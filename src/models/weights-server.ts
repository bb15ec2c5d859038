import { open, stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import type { Config } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import type { ModelSpec } from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import { catalogEntry } from "./catalog.ts";
import { digestOfSet, type ModelFileFacts } from "./file-set.ts";
import type { Manifest } from "./manifest.ts";
import { isModelName } from "./names.ts";
import { sha256Of } from "./pull/present.ts";
import { resolveWeights } from "./resolve.ts";
import { getModel, type ModelStore, type StoredModel } from "./store.ts";

/** Weights that another machine may take over. */
export interface HandedOut {
  /** The configured model's own name. */
  readonly name: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** A catalog name or `hf:ORG/REPO/FILE`; null for what only means something on this machine. */
  readonly reference: string | null;
  /** SPDX id, or null. */
  readonly licence: string | null;
  /** Of a model of several files, the weights first; null: one file. */
  readonly files: readonly ModelFileFacts[] | null;
  /** Absolute, in the order of `files`. Never revealed to the other machine. */
  readonly paths: readonly string[];
}

/** Parts of 256 KiB were slower, and made requests that are served meanwhile wait longer. */
const PART_BYTES = 64 * 1024;
const MAX_NAMES = 12;

/**
 * Hands out the weights of configured models that are files of the store. Nothing else of the disk can be reached
 * through it.
 */
export class WeightsServer {
  readonly #config: () => Pick<Config, "models">;
  readonly #store: ModelStore;
  /** Digests of files without a manifest, by path, each for one state of the file. */
  readonly #digests = new Map<string, { readonly stamp: string; readonly sha256: string }>();

  constructor(config: () => Pick<Config, "models">, store: ModelStore) {
    this.#config = config;
    this.#store = store;
  }

  /**
   * The weights of a configured model. Takes as long as hashing does for a file that was put there by hand, once.
   * Throws
   * `model_not_found` with the nearest names, `model_not_pulled` where the store does not hold them, and the signal's
   * reason.
   */
  async find(nameOrAlias: string, signal: AbortSignal): Promise<HandedOut> {
    const { models } = this.#config();
    const model =
      models.find(({ name }) => name === nameOrAlias) ?? models.find(({ aliases }) => aliases.includes(nameOrAlias));
    if (model === undefined) throw unknown(nameOrAlias, models);
    const stored = await storedWeights(model, this.#store);
    const { manifest, bytes } = stored;
    const known = manifest !== null && manifest.bytes === bytes ? manifest : await this.#hashed(stored, signal);
    return {
      name: model.name,
      bytes,
      sha256: known.sha256,
      reference: publicReference(stored),
      licence: manifest?.licence ?? null,
      files: known.files ?? null,
      paths: stored.files,
    };
  }

  /**
   * The bytes of the file with this digest from `offset` on, in parts. Ending the iteration closes the file. Throws
   * `digest_mismatch` for a file that was exchanged.
   */
  async *read({ paths, files, name, ...one }: HandedOut, sha256: string, offset: number): AsyncGenerator<Buffer> {
    const index = files?.findIndex((file) => file.sha256 === sha256) ?? 0;
    const path = paths[index];
    const bytes = files?.[index]?.bytes ?? one.bytes;
    if (path === undefined) throw new AssistantError("digest_mismatch", `${JSON.stringify(name)} has no such file.`);
    await using handle = await open(path, "r");
    for (let at = offset; at < bytes; ) {
      // Each part has separate memory, since it may still wait to be sent when the next is read.
      const { buffer, bytesRead } = await handle.read(Buffer.allocUnsafe(Math.min(PART_BYTES, bytes - at)), {
        position: at,
      });
      if (bytesRead === 0)
        throw new AssistantError(
          "digest_mismatch",
          `The weights of ${JSON.stringify(name)} have changed during the transfer.`,
        );
      at += bytesRead;
      yield buffer.subarray(0, bytesRead);
    }
  }

  /** What a manifest would say of files that were put there by hand. */
  async #hashed({ files, projector }: StoredModel, signal: AbortSignal): Promise<Pick<Manifest, "sha256" | "files">> {
    const facts: ModelFileFacts[] = [];
    for (const file of files) {
      const { size } = await stat(file);
      const role = file === projector ? "projector" : "weights";
      facts.push({ name: basename(file), role, bytes: size, sha256: await this.#digestOf(file, signal) });
    }
    return facts.length === 1 ? { sha256: facts[0]?.sha256 ?? "" } : { sha256: digestOfSet(facts), files: facts };
  }

  async #digestOf(file: string, signal: AbortSignal): Promise<string> {
    const { size, mtimeMs, ino } = await stat(file);
    const stamp = `${ino} ${size} ${mtimeMs}`;
    const known = this.#digests.get(file);
    if (known?.stamp === stamp) return known.sha256;
    const sha256 = await sha256Of(file, signal);
    this.#digests.set(file, { stamp, sha256 });
    return sha256;
  }
}

async function storedWeights(model: ModelSpec, store: ModelStore): Promise<StoredModel> {
  // Its error may contain paths of this machine, which must not be revealed.
  const file = model.source.type === "opaque" ? null : await resolveWeights(model.source, store).catch(() => null);
  // A single file is named like its model, several are in a folder with that name.
  for (const name of file === null ? [] : [basename(file, ".gguf"), basename(dirname(file))]) {
    const stored = isModelName(name) ? await getModel(store, name) : null;
    // A file elsewhere may have the name of one in the store.
    if (stored !== null && stored.file === file) return stored;
  }
  const found = file === null ? "are not on that machine" : "are a file outside its store, which is not shared";
  throw new AssistantError("model_not_pulled", `The weights of ${JSON.stringify(model.name)} ${found}.`, {
    param: "model",
    remedy: file === null ? "Pull the model there first." : "Pull that file into the store there first.",
  });
}

function publicReference({ manifest, bytes }: StoredModel): string | null {
  if (manifest === null || manifest.bytes !== bytes) return null;
  const { reference } = manifest;
  return reference.startsWith("hf:") || catalogEntry(reference) !== null ? reference : null;
}

function unknown(asked: string, models: readonly ModelSpec[]): AssistantError {
  const names = models.flatMap(({ name, aliases }) => [name, ...aliases]);
  const near = nearestNames(asked.slice(0, 128), new Set(names));
  const listed = `${names.slice(0, MAX_NAMES).join(", ")}${names.length > MAX_NAMES ? " and others" : ""}`;
  return new AssistantError(
    "model_not_found",
    `There is no model ${JSON.stringify(asked.slice(0, 128))} on that machine.`,
    {
      param: "model",
      remedy:
        near.length > 0
          ? `Did you mean ${near.join(" or ")}?`
          : names.length > 0
            ? `It has ${listed}.`
            : "It has no models at all.",
    },
  );
}
