import { flag, integer, requiredText, text } from "../../../config/schema/kit.ts";
import { type ModelSpec, modelKinds } from "../../../core/model.ts";
import { Type } from "../../../core/schema.ts";
import { type Compatibility, requiredMib } from "../../../models/presets/compatibility.ts";
import { type Presets, quantizations } from "../../../models/presets/preset.ts";
import { providers } from "../../../registry/registry.ts";

/** Tokens of context if neither a request nor a preset sets it. */
export const DEFAULT_CONTEXT_WINDOW = 4096;

export const Registration = Type.Object({
  name: requiredText("Name of the model."),
  provider: Type.Enum([...providers], { required: true }),
  config: Type.Object({}, { required: true }),
});
// `config` is validated by the schema of its provider.
export const RegistrationHead = { ...Registration, properties: { ...Registration.properties, config: {} } };

export const LocalConfig = Type.Object({
  model_path: text("GGUF file of this machine.", { minLength: 1 }),
  context_window: integer("Tokens of context.", { minimum: 1 }),
  gpu_layers: integer("Layers on the GPU.", { minimum: -1 }),
});

const secretText = (description: string) => text(description, { minLength: 1, secret: true });

export const CloudConfig = Type.Object({
  model_name: requiredText("Name of the model at the service.", { minLength: 1 }),
  api_key: secretText("Key of the service."),
  base_url: text("Address of the service.", { minLength: 1 }),
  timeout: integer("Seconds without a byte.", { minimum: 1, maximum: 3600 }),
  max_retries: integer("No effect: the daemon decides by the error.", { minimum: 0, maximum: 10 }),
});

export const PresetRegistration = Type.Object({
  preset_name: requiredText("Name of the preset.", { minLength: 1 }),
  auto_download: flag("Download it if it is not on this machine."),
  quantization: text("Another quantization.", {
    pattern: "^[A-Za-z0-9_]{1,40}$",
    patternText: "a name such as q4_k_m",
  }),
});

export const CompatibilityQuestion = Type.Object({
  preset_name: requiredText("Name of the preset.", { minLength: 1 }),
  quantization: text("Quantization.", { pattern: "^[A-Za-z0-9_]{1,40}$", patternText: "a name such as q4_k_m" }),
});

export const NamedModel = Type.Object({ model_name: text("Name of the model.", { minLength: 1 }) });

/** A model in this API's format. */
export function modelInfo(
  model: ModelSpec,
  provider: string,
  isLoaded: boolean,
  extra: Readonly<Record<string, unknown>> = {},
): object {
  const { name, kind, load, sampling, aliases, engine, nodes } = model;
  const { generates } = modelKinds[kind];
  // May be unknown for a remote model.
  const context = load.contextTokens > 0 ? load.contextTokens : null;
  return {
    name,
    provider,
    context_window: context,
    max_output_tokens: generates ? (sampling.maxTokens >= 0 ? sampling.maxTokens : context) : 0,
    supports_streaming: generates,
    supports_structured_output: generates,
    loaded: isLoaded,
    extra: { kind, aliases, ...(nodes === undefined ? { engine } : { nodes }), ...extra },
  };
}

export function presetLists(presets: Presets): object {
  const local = presets.ofKind("local");
  const cloud = presets.ofKind("cloud");
  const embedding = presets.ofKind("embedding");
  return {
    local_models: local.map((preset) => ({
      name: preset.name,
      huggingface_repo: preset.repo,
      filename: preset.filename,
      size_b: preset.sizeB,
      context_window: preset.contextWindow ?? DEFAULT_CONTEXT_WINDOW,
      vram_requirements: Object.fromEntries(quantizations.map((each) => [each, requiredMib(preset, each)])),
      context_length: preset.contextLength,
      licence: preset.licence,
    })),
    cloud_models: cloud.map(({ name, provider, modelName, apiKeyVariable }) => ({
      name,
      provider,
      model_name: modelName,
      api_key_env_var: apiKeyVariable,
    })),
    embedding_models: embedding.map(({ name, repo, dimensions, contextLength, licence }) => ({
      name,
      huggingface_repo: repo,
      dimensions,
      context_length: contextLength,
      licence,
    })),
    total_local: local.length,
    total_cloud: cloud.length,
    total_embedding: embedding.length,
  };
}

export const compatibilityAnswer = (found: Compatibility): object => ({
  compatible: found.compatible,
  required_vram_mb: found.requiredMib,
  available_vram_mb: found.availableMib,
  recommended_quantization: found.recommended,
  warning: found.warning,
});
