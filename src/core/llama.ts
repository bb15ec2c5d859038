import type { ModelSource } from "./source.ts";

/** A LoRA adapter that is loaded with a model. Requests name adapters by their place in the list. */
interface LoraAdapter {
  readonly path: string;
  /** How strongly it is applied where a request says nothing; 0: not at all. */
  readonly scale: number;
}

export const speculationMethods = [
  "draft-simple",
  "draft-eagle3",
  "draft-mtp",
  "ngram-simple",
  "ngram-map-k",
  "ngram-map-k4v",
  "ngram-mod",
  "ngram-cache",
] as const;

/** Tokens are guessed cheaply and checked together, several in one step. Null: the engine's own default. */
export interface Speculation {
  readonly method: (typeof speculationMethods)[number];
  /** Weights that guess; null for methods that look into the text, or use layers of the model itself. */
  readonly draft: ModelSource | null;
  readonly draftOnCpu: boolean;
  /** Layers of the draft model on the GPU; -1: all. */
  readonly draftGpuLayers: number | null;
  readonly maxTokens: number | null;
  readonly minTokens: number | null;
  /** A guess below this probability ends the draft. */
  readonly minProbability: number | null;
  /** Tokens of the n-gram to look up. */
  readonly ngramTokens: number | null;
}

/** How positions are stretched beyond the trained context. Null: what the weights say. */
export interface RopeSettings {
  readonly scaling: "none" | "linear" | "yarn" | null;
  readonly scale: number | null;
  readonly freqBase: number | null;
  readonly freqScale: number | null;
  readonly yarnOriginalContextTokens: number | null;
  readonly yarnExtFactor: number | null;
  readonly yarnAttnFactor: number | null;
  readonly yarnBetaSlow: number | null;
  readonly yarnBetaFast: number | null;
}

/** Settings of llama.cpp that most models do without. */
export interface LlamaSettings {
  readonly flashAttention: "auto" | "on" | "off";
  readonly lora: readonly LoraAdapter[];
  readonly speculation: Speculation | null;
  readonly rope: RopeSettings;
  /** Layers, from the first, whose experts stay in host memory; -1: all. */
  readonly cpuMoeLayers: number;
  /** `PATTERN=BUFFER`: where tensors of that name are kept. */
  readonly tensorOverrides: readonly string[];
}

export const PLAIN_LLAMA: LlamaSettings = {
  flashAttention: "auto",
  lora: [],
  speculation: null,
  rope: {
    scaling: null,
    scale: null,
    freqBase: null,
    freqScale: null,
    yarnOriginalContextTokens: null,
    yarnExtFactor: null,
    yarnAttnFactor: null,
    yarnBetaSlow: null,
    yarnBetaFast: null,
  },
  cpuMoeLayers: 0,
  tensorOverrides: [],
};
