import { speculationMethods } from "../../core/llama.ts";
import { Type } from "../../core/schema.ts";
import { choice, decimal, integer, list, text } from "./kit.ts";

const fromWeights = "from the weights";
const engineDefault = "the engine's own";

/** Keys of llama.cpp that chat and embedding models share. */
export const llamaLoading = {
  flash_attention: choice(["auto", "on", "off"], "Flash attention.", { default: "auto" }),
  lora: list(
    Type.Object(
      {
        path: Type.String({
          description: "The adapter, a GGUF file; relative to this file.",
          minLength: 1,
          required: true,
        }),
        scale: decimal("Default strength; 0: loaded, but not applied.", {
          default: 1,
        }),
      },
      { additionalProperties: false },
    ),
    "LoRA adapters, one table each: `[[chat.lora]]`. A request's `lora` field overrides their scales, " +
      "by their index from 0.",
    { default: [] },
  ),
  rope_scaling: choice(["none", "linear", "yarn"], "How positions beyond the trained context are scaled.", {
    defaultText: fromWeights,
  }),
  rope_scale: decimal("Factor by which the context is stretched.", { exclusiveMinimum: 0, defaultText: fromWeights }),
  rope_freq_base: decimal("Base frequency of RoPE.", { exclusiveMinimum: 0, defaultText: fromWeights }),
  rope_freq_scale: decimal("Frequency scale of RoPE, 1 ÷ `rope_scale`.", {
    exclusiveMinimum: 0,
    defaultText: fromWeights,
  }),
  yarn_orig_ctx: integer("Context for which the weights were trained, for YaRN.", {
    minimum: 1,
    unit: "tokens",
    defaultText: fromWeights,
  }),
  yarn_ext_factor: decimal("YaRN's mix of extrapolation; 0: interpolation alone.", { defaultText: engineDefault }),
  yarn_attn_factor: decimal("YaRN's scale of attention.", { defaultText: engineDefault }),
  yarn_beta_slow: decimal("YaRN's high correction dimension.", { defaultText: engineDefault }),
  yarn_beta_fast: decimal("YaRN's low correction dimension.", { defaultText: engineDefault }),
  n_cpu_moe: integer("Layers, from the first, whose experts stay in host memory; -1: all. No effect on the CPU.", {
    minimum: -1,
    default: 0,
  }),
  override_tensor: list(
    Type.String({
      pattern: "^[^,=]+=[^,=]+$",
      patternText: 'a string such as "blk\\\\.[0-9]\\\\.ffn_.*=CPU", without commas',
    }),
    "Where tensors with matching names are stored: `PATTERN=BUFFER`. Memory estimates ignore it.",
    { default: [] },
  ),
};

/** Keys of llama.cpp for models that generate text. */
export const llamaSpeculation = {
  speculation: choice(
    ["none", ...speculationMethods],
    "Speculative decoding, with a smaller model (`draft-…`) or from the text so far (`ngram-…`).",
    { defaultText: "`draft-simple` if `draft_model` is set, else `none`" },
  ),
  draft_model: text(
    "Weights of the draft model: a name, `hf:…` or a path, as in `source`. " +
      "It must have the same vocabulary and be on this machine (`assistant pull`).",
  ),
  draft_device: choice(["same", "cpu"], "Where the draft model runs.", { default: "same" }),
  draft_n_gpu_layers: integer("Layers of the draft model on the GPU; -1: all.", {
    minimum: -1,
    defaultText: "all",
  }),
  draft_max: integer("Maximum number of draft tokens.", { minimum: 1, maximum: 1024, defaultText: engineDefault }),
  draft_min: integer("Minimum number of draft tokens.", { minimum: 0, maximum: 1024, defaultText: engineDefault }),
  draft_p_min: decimal("Minimum probability of a draft token; a less probable one ends the draft.", {
    minimum: 0,
    maximum: 1,
    defaultText: engineDefault,
  }),
  ngram_size: integer("Length of the n-gram at the end of the text that is looked up in earlier text.", {
    minimum: 1,
    maximum: 1024,
    defaultText: engineDefault,
  }),
};
