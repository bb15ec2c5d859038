import { readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setKeys } from "../config/edit.ts";
import { type FileKind, sectionOf } from "../config/schema/model.ts";
import { UnreadableFile } from "../config/toml.ts";
import { modelConfigFile, writeNew } from "../config/write.ts";
import type { Config } from "../core/config.ts";
import { AssistantError, isAssistantError } from "../core/errors.ts";
import type { ModelSpec } from "../core/model.ts";
import { fileOf } from "../models/configure.ts";
import { type ModelFacts, readModelFacts, readStoredFacts } from "../models/facts.ts";
import type { ReadHeader } from "../models/gguf-header.ts";
import { checkModelName } from "../models/names.ts";
import type { PulledModel } from "../models/pull.ts";
import { getModel, listedOnce, listModels, type ModelStore, removeModel, type StoredModel } from "../models/store.ts";
import type { Uploads } from "../models/uploads.ts";
import { holdsOnly, occupied, taken } from "./model-file.ts";
import type { Registry } from "./registry.ts";

export interface LibraryPorts {
  readonly store: ModelStore;
  readonly readHeader: ReadHeader;
  readonly uploads: Uploads;
  readonly registry: Pick<Registry, "bring" | "configure" | "unregister">;
  config(): Config;
  /** Takes a file of this machine into the store, under this name. Rejects as `pull` does. */
  importFile(file: string, name: string): Promise<PulledModel>;
}

/** What is known of a model's weights. Null: they are not here, or do not say. */
export interface ModelDetails {
  readonly file: string | null;
  readonly bytes: number;
  /** What was pulled, as `pull` takes it. */
  readonly reference: string | null;
  /** Lower-case hex; known of what was pulled. */
  readonly sha256: string | null;
  /** Epoch milliseconds. */
  readonly modifiedAt: number | null;
  readonly licence: string | null;
  readonly facts: ModelFacts | null;
}

export const NOT_HERE: ModelDetails = {
  ...{ file: null, bytes: 0, reference: null, sha256: null, modifiedAt: null, licence: null, facts: null },
};

/** Keys of a model file's section, with what they are set to. */
export type ModelSettings = Readonly<Record<string, string | number | boolean>>;

/** The models of this machine together with their weights: describes, copies, makes and deletes them. */
export class Library {
  readonly uploads: Uploads;
  readonly #ports: LibraryPorts;

  constructor(ports: LibraryPorts) {
    this.#ports = ports;
    this.uploads = ports.uploads;
  }

  /** What is known of the models' weights, by name. */
  async details(models: readonly ModelSpec[]): Promise<ReadonlyMap<string, ModelDetails>> {
    const store = listedOnce(this.#ports.store);
    const stored = await listModels(store);
    const entries: [string, ModelDetails][] = [];
    for (const model of models) {
      const file = model.nodes === undefined ? await fileOf(model.source, store) : null;
      entries.push([model.name, file === null ? NOT_HERE : await this.#detailsOf(file, stored)]);
    }
    return new Map(entries);
  }

  /**
   * Configures a model with the weights and settings of another, and further settings. Throws `model_exists` as
   * `replaceable` does, and with `settings` null wherever there is something to replace. Throws `invalid_request`.
   * `fileName`: of the model file, without `.toml`.
   */
  async derive(from: ModelSpec, name: string, fileName: string, settings: ModelSettings | null): Promise<void> {
    await this.#ports.registry.bring(name, async (config) => {
      const { file, before } = await this.replaceable(name, fileName, config);
      const text = await textOfDerived(from, name, settings ?? {}, config);
      if (before !== null && settings === null) throw taken(name, file);
      await writeNew(file, text, { force: before !== null }).catch((error: unknown) => {
        throw isAssistantError(error) && error.code === "file_exists" ? taken(name, file) : error;
      });
      const undo = (): Promise<void> =>
        before === null ? rm(file, { force: true }) : writeNew(file, before, { force: true });
      return { file, undo };
    });
  }

  /**
   * The file for a new model of this name, with its text; null: there is none. Throws `model_exists` if another file
   * has the name, or if this one contains anything but that model.
   */
  async replaceable(
    name: string,
    fileName: string,
    { paths, models }: Config = this.#ports.config(),
  ): Promise<{ readonly file: string; readonly before: string | null }> {
    const file = modelConfigFile(paths, checkModelName(fileName));
    const holder = models.find((model) => model.name === name || model.aliases.includes(name));
    if (holder !== undefined && holder.file !== file) throw taken(name, holder.file);
    const before = await textOf(file, name);
    const others = models.some((model) => model.file === file && model.name !== name);
    if (before !== null && (others || !holdsOnly(file, before, name))) throw occupied(name, file);
    return { file, before };
  }

  /** Makes a model of a file that was sent. Throws `model_exists`, `model_invalid`, `invalid_request`. */
  async create(name: string, sha256: string, settings: ModelSettings): Promise<void> {
    const { store, readHeader, uploads, registry, importFile } = this.#ports;
    // Before anything is brought into the store for it.
    const { file: ownFile, before } = await this.replaceable(name, name);
    if (before !== null) throw taken(name, ownFile);
    const file = await uploads.find(sha256);
    if (file === null)
      throw new AssistantError("invalid_request", `No file with the digest sha256:${sha256} was sent.`, {
        param: "files",
        remedy: "Send it first: POST /api/blobs/sha256:…",
      });
    const { alreadyPresent } = await importFile(file, name);
    try {
      const stored = await getModel(store, name);
      const { kind = "chat" } = stored === null ? {} : await readStoredFacts(stored, readHeader);
      await registry.configure({ name, kind, source: name, contextTokens: null, gpuLayers: null, settings });
    } catch (error) {
      // A model may have been created from them meanwhile.
      const isUsed = this.#ports.config().models.some((model) => model.name === name);
      if (!alreadyPresent && !isUsed) await removeModel(store, name);
      throw error;
    }
    await uploads.discard(sha256);
  }

  /**
   * Deletes a model's file, and its weights where a pull brought them and no other model uses them. Throws
   * `model_not_found`, `invalid_request`.
   */
  async remove({ name, source }: ModelSpec): Promise<void> {
    const { store, registry, config } = this.#ports;
    const file = await fileOf(source, store);
    await registry.unregister(name);
    // Conversations with it that are kept on disk.
    const { paths, models } = config();
    await rm(join(paths.dataDir, "slots", name), { recursive: true, force: true });
    const owner = file === null ? undefined : (await listModels(store)).find((stored) => stored.file === file);
    if (owner === undefined) return;
    const once = listedOnce(store);
    const users = await Promise.all(models.map(async (model) => (await fileOf(model.source, once)) === file));
    if (!users.includes(true)) await removeModel(store, owner.name);
  }

  async #detailsOf(file: string, stored: readonly StoredModel[]): Promise<ModelDetails> {
    const model = stored.find((each) => each.file === file);
    const found = await stat(file).catch(() => null);
    // Gone since it was located.
    if (found === null) return NOT_HERE;
    const { readHeader } = this.#ports;
    const reading = model === undefined ? readModelFacts(file, readHeader) : readStoredFacts(model, readHeader);
    const facts = await reading.catch(nothingIfInvalid);
    return {
      file,
      bytes: model?.bytes ?? found.size,
      reference: model?.manifest?.reference ?? null,
      sha256: model?.manifest?.sha256 ?? null,
      modifiedAt: model?.modifiedAt ?? found.mtimeMs,
      licence: model?.manifest?.licence ?? facts?.licence ?? null,
      facts,
    };
  }
}

/** A model with an unreadable header is nevertheless listed; requests to it report the problem. */
function nothingIfInvalid(error: unknown): null {
  if (isAssistantError(error)) return null;
  throw error;
}

/** The text of a model file for the weights and settings of `from`, and further settings. Throws `invalid_request`. */
async function textOfDerived(
  from: ModelSpec,
  name: string,
  settings: ModelSettings,
  { paths, models }: Config,
): Promise<string> {
  const alone = models.every((model) => model === from || model.name === from.name || model.file !== from.file);
  if (from.file === "" || from.file === paths.configFile || !alone)
    throw new AssistantError("invalid_request", `${from.name} has no model file to derive another model from.`, {
      param: "from",
      remedy: "Write a model file: `assistant init --model-config`.",
    });
  const text = await readFile(from.file, "utf8");
  const own = { ...settings, model_name: name, ...withoutAliases(text) };
  try {
    return setKeys(from.file, text, sectionOf[from.kind as FileKind], own).text;
  } catch (error) {
    // The model keeps the previous settings of the file.
    if (!(error instanceof UnreadableFile)) throw error;
    throw new AssistantError(
      "invalid_request",
      `The file of ${from.name} is broken now: ${from.file}: ${error.message}.`,
      {
        param: "from",
        remedy: "Correct that file first.",
        cause: error,
      },
    );
  }
}

/** Null: there is no such file. An unreadable one belongs to someone else. */
async function textOf(file: string, name: string): Promise<string | null> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw occupied(name, file);
  }
}

/** A second model must not claim the other names of the first. */
function withoutAliases(text: string): ModelSettings {
  return /^\s*model_alias\s*=/m.test(text) ? { model_alias: "default" } : {};
}
