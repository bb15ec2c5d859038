import { resolve } from "node:path";
import { expandHome } from "../../../src/config/paths.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { ModelKind } from "../../../src/core/model.ts";
import { isModelName } from "../../../src/models/names.ts";
import { getModel } from "../../../src/models/store.ts";
import { type CloudModel, isCloudProvider } from "../../../src/registry/cloud.ts";
import { type Registered, unsupported } from "../../../src/registry/registry.ts";
import type { CommandContext } from "../cli/context.ts";
import { interruptible } from "../cli/interrupt.ts";
import type { ProgressStream } from "../cli/progress.ts";
import { modelStore } from "../stores.ts";
import { registryOf } from "./presets.ts";

export interface RegisterRequest {
  /** For a model in the store or a preset, if there is no file. */
  readonly name: string;
  readonly file: string | null;
  readonly embedding: boolean;
  readonly contextTokens: number | undefined;
  readonly gpuLayers: number | undefined;
  readonly quantization: string | null;
  readonly download: boolean;
  /** The service that runs it; null: this machine does. */
  readonly service: {
    readonly provider: string;
    readonly model: string;
    readonly baseUrl: string | null;
    readonly keyVariable: string | null;
  } | null;
}

/** What `register --json` prints. */
export interface RegisteredModel {
  readonly model: string;
  readonly kind: ModelKind;
  /** The model file (TOML). */
  readonly file: string;
  readonly warning: string | null;
}

export async function registerModel(
  request: RegisterRequest,
  context: CommandContext,
  progress: ProgressStream,
): Promise<RegisteredModel> {
  const { name, embedding, contextTokens, gpuLayers, quantization, download } = request;
  using interrupt = interruptible();
  const registry = registryOf(context, progress, interrupt.signal);
  if (request.service !== null) return shown(await registry.registerCloud(cloudModel(name, request.service)));
  const file = request.file === null ? undefined : resolve(expandHome(request.file, context.env["HOME"] ?? ""));
  const isStored = isModelName(name) && (await getModel(modelStore(context.paths), name)) !== null;
  const isPreset = file === undefined && (!isStored || quantization !== null);
  if (isPreset && (contextTokens !== undefined || gpuLayers !== undefined))
    throw new AssistantError("usage", "`--ctx-size` and `--gpu-layers` are for files; a preset sets both itself.", {
      remedy: "Register the preset, then change its model file.",
    });
  const registered = isPreset
    ? await registry.registerPreset({ preset: name, download, quantization })
    : await registry.register(name, embedding ? "embedding" : "chat", {
        modelPath: file,
        contextWindow: contextTokens,
        gpuLayers,
      });
  return shown(registered);
}

const shown = ({ model: { name, kind }, file, warning }: Registered): RegisteredModel => ({
  model: name,
  kind,
  file,
  warning,
});

function cloudModel(name: string, service: NonNullable<RegisterRequest["service"]>): CloudModel {
  const { provider, model: modelName, baseUrl, keyVariable: apiKeyVariable } = service;
  if (!isCloudProvider(provider)) throw unsupported(provider);
  return { name, provider, modelName, baseUrl, apiKey: null, apiKeyVariable, timeoutS: null };
}

/** Where it is and how to use it. Pure. */
export const registeredText = ({ model, kind, file }: RegisteredModel): string =>
  `Wrote ${file}\n${kind === "embedding" ? `Serve it: POST /v1/embeddings with "model": "${model}"` : `Run it: assistant run ${model}`}`;
