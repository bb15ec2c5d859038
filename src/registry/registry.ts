import { isAbsolute } from "node:path";
import { defaults } from "../config/defaults.ts";
import type { Environment } from "../config/environment.ts";
import { pathIn } from "../config/paths.ts";
import { providerPresets } from "../config/provider-presets.ts";
import type { Config } from "../core/config.ts";
import type { Hardware } from "../core/device.ts";
import { AssistantError, isAssistantError } from "../core/errors.ts";
import type { ModelSpec } from "../core/model.ts";
import { checkModelName } from "../models/names.ts";
import { type Compatibility, checkCompatibility, quantizationOfFile } from "../models/presets/compatibility.ts";
import { mayBePreset, type PullOrder, pullOrder } from "../models/presets/named.ts";
import { type EmbeddingPreset, type Preset, type Presets, pullReference } from "../models/presets/preset.ts";
import { checkWeights } from "../models/resolve.ts";
import { getModel, type ModelStore } from "../models/store.ts";
import { type CloudModel, cloudProviders, isCloudProvider, writeCloudModel } from "./cloud.ts";
import {
  deleteModelFile,
  type ModelFileWish,
  storedSource,
  taken,
  type Written,
  writeModelFile,
} from "./model-file.ts";

/** Kinds of provider that a model is registered with. */
export const providers = ["local", "embedding", ...cloudProviders, "custom"] as const;
export type Provider = (typeof providers)[number];

export interface RegistryPorts {
  readonly env: Environment;
  readonly store: ModelStore;
  /** As it is now: after `reload` with what was changed. */
  config(): Config | Promise<Config>;
  hardware(): Hardware | Promise<Hardware>;
  presets(): Promise<Presets>;
  /** Brings a model into the store under this name. Rejects as `pull` does. */
  pull(reference: string, name: string): Promise<void>;
  /** Brings changed model files into force. */
  reload(): Promise<unknown>;
}

/** Settings of a model of this machine; what is missing is chosen for it. */
export interface LocalSettings {
  readonly modelPath?: string | undefined;
  readonly contextWindow?: number | undefined;
  readonly gpuLayers?: number | undefined;
}

export interface PresetOrder {
  readonly preset: string;
  /** Download it if it is not on this machine. */
  readonly download: boolean;
  /** Another one than that of the preset's file; null: that one. */
  readonly quantization: string | null;
}

/** A registered model, with information for the caller. */
export interface Registered {
  readonly model: ModelSpec;
  readonly file: string;
  readonly warning: string | null;
}

/** A preset's weights on this machine. */
export interface PresetFile {
  readonly preset: Exclude<Preset, { kind: "cloud" }>;
  readonly file: string | null;
  readonly bytes: number | null;
}

/** Writes and deletes model files: what is registered is configured as if by hand, and survives a restart. */
export class Registry {
  readonly #ports: RegistryPorts;
  #writing: Promise<unknown> = Promise.resolve();

  constructor(ports: RegistryPorts) {
    this.#ports = ports;
  }

  presets(): Promise<Presets> {
    return this.#ports.presets();
  }

  /** What to pull for a reference, which may be a preset's name. Throws `unknown_source`, `usage`. */
  async pullOrder(written: string): Promise<PullOrder> {
    return mayBePreset(written) ? pullOrder(written, await this.#ports.presets()) : { reference: written, name: null };
  }

  /** A model of this machine. Throws `usage` for a name, `model_exists`, and `invalid_request` naming what is wrong. */
  async register(name: string, kind: "chat" | "embedding", settings: LocalSettings): Promise<Registered> {
    checkModelName(name);
    await this.#requireFree(name);
    const source = await this.#sourceOf(name, settings.modelPath);
    return await this.configure({
      name,
      kind,
      source,
      contextTokens: settings.contextWindow ?? null,
      gpuLayers: settings.gpuLayers ?? null,
    });
  }

  /** A model of a service. Throws as `register` does. */
  async registerCloud(model: CloudModel): Promise<Registered> {
    checkModelName(model.name);
    await this.#requireFree(model.name);
    const { hardware, env } = this.#ports;
    return await this.bring(model.name, async (config) => {
      requireFree(model.name, config);
      return writeCloudModel(model, config, await hardware(), env);
    });
  }

  /** Throws `model_not_found` for an unknown preset, `model_exists`, `invalid_request`, and what a pull throws. */
  async registerPreset({ preset: presetName, download, quantization }: PresetOrder): Promise<Registered> {
    const preset = await this.#preset(presetName);
    const { name } = preset;
    await this.#requireFree(name);
    if (preset.kind === "cloud") {
      if (!isCloudProvider(preset.provider)) throw unsupported(preset.provider);
      return await this.registerCloud({ ...preset, provider: preset.provider });
    }
    const warning = preset.kind === "local" ? (await this.compatibility(presetName, quantization)).warning : null;
    const source = await this.#weightsOf(preset, quantization, download);
    const settings = preset.kind === "local" ? preset : { contextWindow: shortContext(preset), gpuLayers: null };
    const registered = await this.configure({
      name,
      kind: preset.kind === "local" ? "chat" : "embedding",
      source,
      contextTokens: settings.contextWindow,
      gpuLayers: settings.gpuLayers,
    });
    return { ...registered, warning };
  }

  /** The kind of provider that a model has. */
  async providerOf({ kind, source }: ModelSpec): Promise<Provider> {
    if (source.type !== "provider") return kind === "embedding" ? "embedding" : "local";
    const config = await this.#ports.config();
    const provider = config.providers.find(({ name }) => name === source.offers[0]?.provider);
    if (provider?.type === "anthropic" || provider?.type === "google") return provider.type;
    return provider?.baseUrl === providerPresets.openai.baseUrl ? "openai" : "openai_compatible";
  }

  /** Deletes the model's file; its weights stay. Throws `model_not_found`, `invalid_request`. */
  async unregister(name: string): Promise<ModelSpec> {
    const config = await this.#ports.config();
    const model = find(config, name);
    if (model === undefined)
      throw new AssistantError("model_not_found", `No model called ${JSON.stringify(name)} is configured here.`, {
        param: "name",
        remedy: "`assistant list` shows the models.",
      });
    await deleteModelFile(model, config);
    await this.#ports.reload();
    return model;
  }

  /** Whether a GPU has room for a local preset now. Throws `model_not_found`. */
  async compatibility(presetName: string, quantization: string | null): Promise<Compatibility> {
    const preset = await this.#preset(presetName);
    if (preset.kind !== "local")
      throw new AssistantError("model_not_found", `${preset.name} is no preset of a local model.`, {
        param: "preset_name",
      });
    return checkCompatibility(
      preset,
      quantization ?? quantizationOfFile(preset.filename),
      await this.#ports.hardware(),
    );
  }

  /** The source of a preset's weights. Throws `model_not_found`. */
  async presetFile(presetName: string): Promise<PresetFile> {
    const preset = await this.#preset(presetName);
    if (preset.kind === "cloud")
      throw new AssistantError("model_not_found", `${preset.name} runs elsewhere and has no weights.`, {
        param: "preset_name",
      });
    const stored = await getModel(this.#ports.store, preset.name);
    return { preset, file: stored?.file ?? null, bytes: stored?.bytes ?? null };
  }

  async #preset(name: string): Promise<Preset> {
    const presets = await this.#ports.presets();
    const preset = presets.find(name);
    if (preset !== null) return preset;
    const near = presets.near(name);
    throw new AssistantError("model_not_found", `There is no preset called ${JSON.stringify(name.slice(0, 100))}.`, {
      param: "preset_name",
      remedy: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`assistant search` lists the presets.",
    });
  }

  async #requireFree(name: string): Promise<void> {
    requireFree(name, await this.#ports.config());
  }

  /** The weights of a model that is registered by its file, or by its name in the store. */
  async #sourceOf(name: string, modelPath: string | undefined): Promise<string> {
    if (modelPath === undefined) {
      const stored = await storedSource(name, this.#ports.store);
      if (stored !== null) return stored;
      throw new AssistantError("invalid_request", `Nothing called ${name} is in ${this.#ports.store.weightsDir}.`, {
        param: "config.model_path",
        remedy: "Name the file with `model_path`, or pull it first.",
      });
    }
    const path = pathIn("/", modelPath, this.#ports.env);
    if (!isAbsolute(modelPath) && !modelPath.startsWith("~/"))
      throw new AssistantError("invalid_request", `Expected an absolute path, found ${JSON.stringify(modelPath)}.`, {
        param: "config.model_path",
      });
    await requireWeights(path);
    return path;
  }

  /** The weights of a preset, as `source` of a model file. */
  async #weightsOf(
    preset: Exclude<Preset, { kind: "cloud" }>,
    quantization: string | null,
    download: boolean,
  ): Promise<string> {
    const ownFile = quantization === null && preset.kind === "local" ? preset.modelPath : null;
    if (ownFile !== null) {
      await requireWeights(ownFile);
      return ownFile;
    }
    const stored = quantization === null ? preset.name : checkModelName(`${preset.name}-${quantization.toLowerCase()}`);
    if ((await getModel(this.#ports.store, stored)) !== null) return stored;
    if (!download)
      throw new AssistantError("invalid_request", `${stored} is not on this machine, and \`auto_download\` is false.`, {
        param: "auto_download",
        remedy: `Leave \`auto_download\` out, or run \`assistant pull ${preset.name}\`.`,
      });
    await this.#ports.pull(pullReference(preset, quantization) ?? preset.name, stored);
    return stored;
  }

  /** Writes the file of a model of this machine, and brings it into force. Throws `model_exists`, `invalid_request`. */
  configure(wish: ModelFileWish): Promise<Registered> {
    return this.bring(wish.name, async (config) => {
      // It may have been taken while the weights were looked for.
      requireFree(wish.name, config);
      return writeModelFile(wish, config, await this.#ports.hardware());
    });
  }

  /** Writes, one model at a time, and brings it into force; what the configuration refuses is undone. */
  bring(name: string, write: (config: Config) => Promise<Written>): Promise<Registered> {
    const next = async (): Promise<Registered> => {
      const written = await write(await this.#ports.config());
      try {
        await this.#ports.reload();
        const config = await this.#ports.config();
        const model = find(config, name);
        if (model?.file === written.file) return { model, file: written.file, warning: null };
        const notice = config.notices.find((each) => each.severity === "error" && each.file === written.file);
        throw new AssistantError(
          "invalid_request",
          `${name} cannot be configured${notice === undefined ? "" : `: ${notice.message}`}.`,
          { param: "config" },
        );
      } catch (error) {
        await written.undo();
        const isSound = await Promise.resolve(this.#ports.reload()).then(
          () => true,
          () => false,
        );
        throw isSound ? asMistake(error) : error;
      }
    };
    const done = this.#writing.then(next, next);
    this.#writing = done;
    return done;
  }
}

/** The context of an embedding model that was trained with less than is usual; null: the usual one. */
const shortContext = ({ contextLength }: EmbeddingPreset): number | null =>
  contextLength !== null && contextLength < defaults.embeddingContextTokens ? contextLength : null;

const find = ({ models }: Config, name: string): ModelSpec | undefined =>
  models.find((model) => model.name === name || model.aliases.includes(name));

function requireFree(name: string, config: Config): void {
  const model = find(config, name);
  if (model !== undefined) throw taken(name, model.file);
}

/** If the configuration is valid without the new file, the error is not the daemon's. */
function asMistake(error: unknown): unknown {
  if (!isAssistantError(error) || error.code !== "config_invalid") return error;
  return new AssistantError("invalid_request", `The model cannot be configured: ${error.message}`, {
    param: "config",
    cause: error,
  });
}

async function requireWeights(path: string): Promise<void> {
  try {
    await checkWeights(path);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    if (!isMissing && !isAssistantError(error)) throw error;
    throw new AssistantError(
      "invalid_request",
      isMissing ? `There is no file ${path}.` : (error as AssistantError).message,
      { param: "config.model_path", cause: error },
    );
  }
}

export const unsupported = (provider: string): AssistantError =>
  new AssistantError("invalid_request", `Models of the provider "${provider}" cannot be registered.`, {
    param: "provider",
    remedy: `Expected ${providers.filter((each) => each !== "custom").join(", ")}.`,
  });
