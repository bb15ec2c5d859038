import type { Static } from "typebox";
import { decimal, integer, requiredText, section, text } from "../../config/schema/kit.ts";
import { Type } from "../../core/schema.ts";

const named = {
  name: requiredText("Name by which the model is pulled and registered.", {
    pattern: "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$",
    patternText: "up to 100 letters, digits and . _ -, beginning with a letter or digit",
  }),
};

const repository = {
  ...named,
  huggingface_repo: requiredText("Repository of the Hugging Face hub that contains GGUF files.", {
    pattern: "^[A-Za-z0-9_][A-Za-z0-9._-]*/[A-Za-z0-9_][A-Za-z0-9._-]*$",
    patternText: "ORG/REPO",
  }),
  filename: text("GGUF file to pull if no quantization is requested.", {
    pattern: "^(?:[A-Za-z0-9_][A-Za-z0-9._-]*/)*[A-Za-z0-9_][A-Za-z0-9._-]*\\.(?:gguf|GGUF)$",
    patternText: "the name of a GGUF file of the repository",
  }),
  licence: text("SPDX id, or the hub's name of the licence."),
  context_length: integer("Tokens that the model was trained with.", { minimum: 1 }),
};

const mebibytes = (quantization: string) => decimal(`MiB of GPU memory at ${quantization}.`, { minimum: 0 });

/** One entry of `local.yaml`. */
export const LocalEntry = Type.Object({
  ...repository,
  size_b: Type.Number({ description: "Billions of parameters.", exclusiveMinimum: 0, required: true }),
  vram_requirements: section(
    {
      q4_k_m: mebibytes("Q4_K_M"),
      q5_k_m: mebibytes("Q5_K_M"),
      q8_0: mebibytes("Q8_0"),
      fp16: mebibytes("F16"),
    },
    "GPU memory, MiB, by quantization; what is missing is computed from `size_b`.",
  ),
  provider_config: section(
    {
      model_path: text("File of this machine that is used instead of a download."),
      context_window: integer("Tokens of context of one request.", { minimum: 512, maximum: 131_072 }),
      gpu_layers: integer("Layers on the GPU; -1: all.", { minimum: -1 }),
    },
    "How a registered model is loaded.",
  ),
});
export type LocalEntry = Static<typeof LocalEntry>;

/** One entry of `cloud.yaml`. */
export const CloudEntry = Type.Object({
  ...named,
  provider: requiredText("Kind of service: openai, anthropic, openai_compatible, …", { minLength: 1 }),
  api_key_env_var: text("Environment variable that holds the key.", {
    pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
    patternText: "the name of an environment variable",
  }),
  provider_config: Type.Object(
    {
      model_name: requiredText("Name of the model at the service.", { minLength: 1 }),
      api_key: text("The key itself; a variable is better.", { secret: true }),
      base_url: text("Address of the service."),
      timeout: integer("Seconds for an answer.", { minimum: 1, maximum: 3600 }),
      max_retries: integer("Attempts after the first one.", { minimum: 0, maximum: 10 }),
      keep_alive: Type.Optional(Type.Union([Type.String(), Type.Integer()])),
    },
    { required: true },
  ),
});
export type CloudEntry = Static<typeof CloudEntry>;

/** One entry of `embedding.yaml`. */
export const EmbeddingEntry = Type.Object({
  ...repository,
  dimensions: Type.Integer({ description: "Length of a vector.", minimum: 1, required: true }),
});
export type EmbeddingEntry = Static<typeof EmbeddingEntry>;
