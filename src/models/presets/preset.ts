import type { ConfigNotice } from "../../core/config.ts";
import { nearestNames } from "../../core/nearest.ts";
import { catalogEntry } from "../catalog.ts";

/** Quantizations that memory is computed for, smallest first. */
export const quantizations = ["q4_k_m", "q5_k_m", "q8_0", "fp16"] as const;
export type Quantization = (typeof quantizations)[number];

interface Named {
  readonly name: string;
  /** The file that it stands in; null: it came with Assistant. */
  readonly file: string | null;
}

interface InRepository extends Named {
  /** `ORG/REPO` of the Hugging Face hub. */
  readonly repo: string;
  /** GGUF file in it; null: the usual quantization is chosen. */
  readonly filename: string | null;
  /** SPDX id, or the hub's name; null: not known. */
  readonly licence: string | null;
  /** Tokens that it was trained with; null: not known. */
  readonly contextLength: number | null;
}

export interface LocalPreset extends InRepository {
  readonly kind: "local";
  /** Billions of parameters. */
  readonly sizeB: number;
  /** MiB, where the preset states them. */
  readonly vramMib: Readonly<Partial<Record<Quantization, number>>>;
  /** A file of this machine that is used instead of a download, or null. */
  readonly modelPath: string | null;
  /** Tokens of one request; null: what suits the machine. */
  readonly contextWindow: number | null;
  /** -1: all; null: what suits the machine. */
  readonly gpuLayers: number | null;
}

export interface EmbeddingPreset extends InRepository {
  readonly kind: "embedding";
  readonly dimensions: number;
}

export interface CloudPreset extends Named {
  readonly kind: "cloud";
  readonly provider: string;
  readonly apiKeyVariable: string | null;
  /** Name at the service. */
  readonly modelName: string;
  /** Never shown or logged. */
  readonly apiKey: string | null;
  readonly baseUrl: string | null;
  readonly timeoutS: number | null;
  readonly maxRetries: number | null;
}

export type Preset = LocalPreset | EmbeddingPreset | CloudPreset;

/** All presets of an installation: those that came with it, and those of the user's folders, which win by name. */
export class Presets {
  readonly all: readonly Preset[];
  /** What is wrong with the files. */
  readonly notices: readonly ConfigNotice[];
  readonly #byName: ReadonlyMap<string, Preset>;

  constructor(all: readonly Preset[], notices: readonly ConfigNotice[]) {
    this.#byName = new Map(all.map((preset) => [preset.name.toLowerCase(), preset]));
    this.all = [...this.#byName.values()];
    this.notices = notices;
  }

  /** Letter case and Ollama's `:latest` do not matter. */
  find(name: string): Preset | null {
    return this.#byName.get(name.toLowerCase().replace(/:latest$/, "")) ?? null;
  }

  ofKind<Kind extends Preset["kind"]>(kind: Kind): readonly Extract<Preset, { kind: Kind }>[] {
    return this.all.filter((preset): preset is Extract<Preset, { kind: Kind }> => preset.kind === kind);
  }

  /** Similar names. */
  near(name: string): string[] {
    return nearestNames(name, this.#byName.keys());
  }
}

/**
 * What `pull` is given for a preset; null for one that has no weights. `quantization`: another one than the preset's
 * file. What the catalog has too is pulled from there, where its digest is known.
 */
export function pullReference(preset: Preset, quantization: string | null): string | null {
  if (preset.kind === "cloud") return null;
  if (quantization === null && catalogEntry(preset.name) !== null) return preset.name;
  if (quantization !== null) return `hf:${preset.repo}:${quantization.toUpperCase()}`;
  if (preset.kind === "local" && preset.modelPath !== null) return preset.modelPath;
  return `hf:${preset.repo}${preset.filename === null ? "" : `/${preset.filename}`}`;
}
