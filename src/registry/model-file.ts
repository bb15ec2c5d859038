import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { setKeys } from "../config/edit.ts";
import { schemaNode } from "../config/schema/kit.ts";
import { MODEL_KINDS, ModelFile, sectionOf } from "../config/schema/model.ts";
import type { SectionKeys } from "../config/section.ts";
import { parseToml, UnreadableFile } from "../config/toml.ts";
import { validate } from "../config/validate.ts";
import { modelConfigFile, renderModelConfig, writeNew } from "../config/write.ts";
import type { Config } from "../core/config.ts";
import type { Hardware } from "../core/device.ts";
import { AssistantError, isAssistantError } from "../core/errors.ts";
import type { ModelKind, ModelSpec } from "../core/model.ts";
import { getModel, type ModelStore } from "../models/store.ts";

/** A model as its file is to describe it. Null: what suits the machine. */
export interface ModelFileWish {
  readonly name: string;
  readonly kind: ModelKind;
  /** As `source` of a model file; paths are absolute. */
  readonly source: string;
  readonly contextTokens: number | null;
  /** -1: all. */
  readonly gpuLayers: number | null;
  /** Further keys of its section. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
}

/** What was written, and how to undo it where the configuration turns out to refuse it. */
export interface Written {
  readonly file: string;
  undo(): Promise<void>;
}

/** Writes NAME.toml. Throws `model_exists` if there is such a file. */
export async function writeModelFile(
  wish: ModelFileWish,
  { paths }: Pick<Config, "paths">,
  hardware: Hardware,
): Promise<Written> {
  const { name, kind, source, contextTokens, gpuLayers } = wish;
  const file = modelConfigFile(paths, name);
  const settings = {
    ...(contextTokens === null ? {} : { ctx_size: contextTokens }),
    ...(gpuLayers === null ? {} : { n_gpu_layers: gpuLayers }),
    ...wish.settings,
  };
  const text = await renderModelConfig({ name, kind, source, hardware });
  try {
    await writeNew(file, setKeys(file, text, kind, settings).text, { force: false });
  } catch (error) {
    if (isAssistantError(error) && error.code === "file_exists") throw taken(name, file);
    throw error;
  }
  return { file, undo: () => rm(file, { force: true }) };
}

/**
 * Deletes the file of a model that is configured on its own. Throws `invalid_request` if it is configured together with
 * others.
 */
export async function deleteModelFile(
  { name, file }: Pick<ModelSpec, "name" | "file">,
  { paths, models }: Config,
): Promise<void> {
  const others = models.filter((model) => model.file === file && model.name !== name);
  if (file === paths.configFile || others.length > 0)
    throw new AssistantError(
      "invalid_request",
      `${name} is configured in ${file}${others.length > 0 ? ` together with ${others.map((other) => other.name).join(", ")}` : ""}, which was not changed.`,
      { param: "name", remedy: `Remove ${name} from that file.` },
    );
  await rm(file, { force: true });
}

export const taken = (name: string, file: string): AssistantError =>
  new AssistantError("model_exists", `A model called ${JSON.stringify(name)} is configured already, in ${file}.`, {
    param: "name",
    remedy: "Choose another name, or remove that model first.",
  });

/** The file at this path does not belong to this model only. */
export const occupied = (name: string, file: string): AssistantError =>
  new AssistantError(
    "model_exists",
    `${file} already exists and does not contain only the model ${JSON.stringify(name)}, so it was not changed.`,
    { param: "name", remedy: "Choose another name, or move that file away first." },
  );

/** Whether the text of a model file describes the model of this name, in full, and no other. */
export function holdsOnly(file: string, text: string, name: string): boolean {
  let isValid = true;
  try {
    const source = parseToml(file, text);
    validate(schemaNode(ModelFile), source, () => {
      isValid = false;
    });
    if (!isValid) return false;
    const keys = source.data as ModelFile;
    const [section, ...others] = MODEL_KINDS.flatMap((kind): SectionKeys[] => {
      const found: SectionKeys | undefined = keys[sectionOf[kind]];
      return found === undefined ? [] : [found];
    });
    if (section === undefined || others.length > 0) return false;
    const hasWeights = section.source ?? section.model_path ?? section.provider;
    return section.model_name === name && hasWeights !== undefined;
  } catch (error) {
    if (error instanceof UnreadableFile) return false;
    throw error;
  }
}

/** The weights for a bare name, as `source` of a model file: those stored under the name; null: none. */
export async function storedSource(name: string, store: ModelStore): Promise<string | null> {
  if ((await getModel(store, name)) !== null) return name;
  for (const candidate of [join(store.weightsDir, name, `${name}.gguf`), join(store.weightsDir, name)]) {
    const found = await stat(candidate).catch(() => null);
    if (found?.isFile()) return candidate;
  }
  return null;
}
