import type { CommandSettings } from "./command.ts";
import { type LlamaSettings, PLAIN_LLAMA } from "./llama.ts";
import type { ModelSource } from "./source.ts";

export type { ModelSource, ProviderOffer } from "./source.ts";

/** What a model is used for. */
export type Operation =
  | "chat"
  | "completion"
  | "embedding"
  | "rerank"
  | "image"
  | "speech"
  | "transcription"
  | "translation"
  /** A pipeline's own request format. */
  | "infer"
  /** What the model's program does with its vocabulary, or says of itself: nothing is computed by the model. */
  | "tokenize"
  /** Texts and images are judged by the categories of the model that does it. */
  | "moderation"
  /** Tensors of any kind are passed to a handler, and what it makes of them comes back. */
  | "tensors";

/** What a model is for. Callers ask `modelKinds` for the trait that matters to them and compare no kinds. */
export type ModelKind =
  | "chat"
  | "embedding"
  | "rerank"
  | "image"
  | "speech"
  | "transcription"
  | "moderation"
  | "handler";

export interface KindTraits {
  /** Operations that models of this kind answer. */
  readonly operations: readonly Operation[];
  /**
   * Decodes tokens after the prompt, and has a KV cache that later requests can reuse. Others compute an input at once.
   */
  readonly generates: boolean;
  /** Its engines are llama.cpp's, which convert between text and tokens: the operation `tokenize`. */
  readonly tokenizes: boolean;
  /**
   * The engine of a model that names none; `auto`: the one that `assistant engine use` has set, or the best there is.
   */
  readonly engine: EngineId | "auto";
  /**
   * The operation with which an instance proves that it works; null: its health check is sufficient, as an image takes
   * too long.
   */
  readonly probe: "completion" | "embedding" | "rerank" | "speech" | "transcription" | null;
  /** With its article, for messages: "a chat model". */
  readonly noun: string;
  /** For messages: "It does not generate text." */
  readonly verb: string;
}

export const modelKinds: Readonly<Record<ModelKind, KindTraits>> = {
  chat: {
    operations: ["chat", "completion"],
    generates: true,
    tokenizes: true,
    engine: "auto",
    probe: "completion",
    noun: "a chat model",
    verb: "generate text",
  },
  embedding: {
    operations: ["embedding"],
    generates: false,
    tokenizes: true,
    engine: "auto",
    probe: "embedding",
    noun: "an embedding model",
    verb: "make embeddings",
  },
  rerank: {
    operations: ["rerank"],
    generates: false,
    tokenizes: true,
    engine: "auto",
    probe: "rerank",
    noun: "a reranking model",
    verb: "rank documents",
  },
  image: {
    operations: ["image"],
    generates: false,
    tokenizes: false,
    engine: "auto",
    probe: null,
    noun: "an image model",
    verb: "make images",
  },
  speech: {
    operations: ["speech"],
    generates: false,
    tokenizes: false,
    engine: "speech",
    probe: "speech",
    noun: "a speech model",
    verb: "speak",
  },
  transcription: {
    operations: ["transcription", "translation"],
    generates: false,
    tokenizes: false,
    engine: "llama-server",
    probe: "transcription",
    noun: "a transcription model",
    verb: "transcribe",
  },
  moderation: {
    operations: ["moderation"],
    generates: false,
    tokenizes: false,
    engine: "auto",
    probe: null,
    noun: "a moderation model",
    verb: "moderate",
  },
  handler: {
    operations: ["tensors"],
    generates: false,
    tokenizes: false,
    engine: "auto",
    probe: null,
    noun: "a handler of tensors",
    verb: "handle tensors",
  },
};

/** Operations that a model answers: those of its kind, unless its program answers fewer. */
export const operationsOf = ({ kind, operations }: Pick<ModelSpec, "kind" | "operations">): readonly Operation[] =>
  operations ?? modelKinds[kind].operations;

/** Whether the model answers the operation. */
export const answers = (model: Pick<ModelSpec, "kind" | "operations">, operation: Operation): boolean =>
  operation === "tokenize" ? modelKinds[model.kind].tokenizes : operationsOf(model).includes(operation);

/** Whether this version knows a kind named by another machine or a file. */
export const isModelKind = (kind: string): kind is ModelKind => Object.hasOwn(modelKinds, kind);

export type EngineId = "llama-server" | "node-llama-cpp" | "command" | "speech";

/**
 * The capabilities of a model, by name: `type` (its kind), each supported operation, and features such as `vision` and
 * `tools`. A missing feature is unknown: the model's server decides.
 */
export type Capabilities = Readonly<Record<string, string | number | boolean>>;

/** Capabilities implied by the kind, or by the kind and the operations of the model's program. */
export const capabilitiesOfKind = (kind: ModelKind, operations = modelKinds[kind].operations): Capabilities => ({
  type: kind,
  ...Object.fromEntries(operations.map((operation) => [operation, true])),
});

/** Sampling used when a request does not say otherwise. `null`: the engine's own default. */
export interface SamplingDefaults {
  readonly temperature: number | null;
  readonly topP: number | null;
  readonly topK: number | null;
  readonly minP: number | null;
  readonly repeatPenalty: number | null;
  readonly presencePenalty: number | null;
  readonly frequencyPenalty: number | null;
  /** Most tokens of one answer; -1: until the context is full. */
  readonly maxTokens: number;
  readonly stop: readonly string[];
  /** GBNF text that every answer must match; "" for none. */
  readonly grammar: string;
  /** JSON Schema text that every answer must match; "" for none. */
  readonly jsonSchema: string;
}

/** Those that are numbers, by the names that requests have for them; null: not set. */
export const samplingFields = (sampling: SamplingDefaults): Readonly<Record<string, number | null>> => ({
  temperature: sampling.temperature,
  top_p: sampling.topP,
  top_k: sampling.topK,
  min_p: sampling.minP,
  repeat_penalty: sampling.repeatPenalty,
  presence_penalty: sampling.presencePenalty,
  frequency_penalty: sampling.frequencyPenalty,
});

/** Nothing set: what the engine does of itself. */
export const ENGINE_SAMPLING: SamplingDefaults = {
  temperature: null,
  topP: null,
  topK: null,
  minP: null,
  repeatPenalty: null,
  presencePenalty: null,
  frequencyPenalty: null,
  maxTokens: -1,
  stop: [],
  grammar: "",
  jsonSchema: "",
};

/** How an engine loads a model. Every value is effective: nothing here is "auto" but `threads`. */
export interface LoadSettings {
  /**
   * Tokens of context that each single request may use (prompt and answer together); 0: not known, of a provider's
   * model.
   */
  readonly contextTokens: number;
  /** Requests decoded at once by one instance. */
  readonly slots: number;
  readonly batchTokens: number;
  readonly microBatchTokens: number;
  /** Threads of one instance; "auto": its share of the cores, from the thread governor. */
  readonly threads: number | "auto";
  /** Layers offloaded to the GPU; ignored on a CPU device. */
  readonly gpuLayers: number;
  readonly splitMode: "none" | "layer" | "row";
  readonly mainGpu: number;
  /** Share of the model per GPU, in device order; empty: by memory. */
  readonly tensorSplit: readonly number[];
  readonly mmap: boolean;
  readonly cacheTypeK: string;
  readonly cacheTypeV: string;
  /** Host memory, in MiB, that keeps the KV state of conversations that lost their slot; 0: none. */
  readonly hostCacheMib: number;
  /** Name of a built-in chat template (`chatml`, …), or "" for the model's own. */
  readonly chatTemplate: string;
  /** Path of a multimodal projector, or "". */
  readonly projectorPath: string;
  readonly pooling: "none" | "mean" | "cls" | "last" | "rank" | null;
  readonly llama: LlamaSettings;
  /** Further arguments for llama-server, passed as they are. */
  readonly extraArgs: readonly string[];
}

/** Settings that load no weights into llama.cpp: of models that run elsewhere, or on engines of another kind. */
export const PLAIN_LOAD: LoadSettings = {
  contextTokens: 0,
  slots: 0,
  batchTokens: 0,
  microBatchTokens: 0,
  threads: 1,
  gpuLayers: 0,
  splitMode: "none",
  mainGpu: 0,
  tensorSplit: [],
  mmap: true,
  cacheTypeK: "f16",
  cacheTypeV: "f16",
  hostCacheMib: 0,
  chatTemplate: "",
  projectorPath: "",
  pooling: null,
  llama: PLAIN_LLAMA,
  extraArgs: [],
};

/** How a speech model of our own engine speaks. */
export interface SpeechSettings {
  /** `sherpa-onnx`: with the model's own weights, a Piper voice; `espeak-ng`: the system's program, without weights. */
  readonly backend: "sherpa-onnx" | "espeak-ng";
  /** For requests that name none; "": the first one. */
  readonly voice: string;
  /** 1: the voice's own; a request's `speed` is a factor of it. */
  readonly speed: number;
  /** Longest input of a request. */
  readonly maxInputCharacters: number;
  /** How freely a Piper voice varies (its noise scale); null: as its makers say. */
  readonly temperature: number | null;
}

/** A model as the configuration describes it. Frozen; a reload makes a new one. */
export interface ModelSpec {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly kind: ModelKind;
  /** Missing: all operations of its kind. */
  readonly operations?: readonly Operation[];
  /** As far as the configuration says; the daemon's directory adds what the weights say. */
  readonly capabilities: Capabilities;
  readonly engine: EngineId | "auto";
  /** The program, where the engine is `command`. */
  readonly command?: CommandSettings;
  readonly source: ModelSource;
  readonly load: LoadSettings;
  readonly sampling: SamplingDefaults;
  /** Of a speech model that the engine `speech` runs. */
  readonly speech?: SpeechSettings;
  /** Whether a streamed answer ends with usage even where the client did not ask for it. */
  readonly includeUsage: boolean;
  /** Devices it may run on, by id; empty: any (all GPUs if there are some, otherwise the CPU). */
  readonly devices: readonly string[];
  /** Most instances at once. "auto": one per GPU, or one on the CPU. */
  readonly replicas: number | "auto";
  /** Milliseconds without a request after which an instance is stopped; null: never. */
  readonly idleTtlMs: number | null;
  /** Started with the daemon. */
  readonly preload: boolean;
  /** Fewest instances: so many are started with the daemon and are not stopped for idleness. Missing: 0. */
  readonly replicasMin?: number;
  /** While one of its requests runs, nothing else runs on that device. Missing: false. */
  readonly exclusive?: boolean;
  /** Never evicted and never stopped for idleness. */
  readonly pinned: boolean;
  /**
   * Addresses (`host:port`, IPv6 in brackets) at which only this model is served, whatever a request's `model`. The
   * chat and the embedding model of one configuration entry may share one; the kind of the request then decides.
   */
  readonly ownAddresses: readonly string[];
  /**
   * Set for a model that only other machines or providers have: the names of their entries. It is never started here,
   * and its loading settings are as reported by them.
   */
  readonly nodes?: readonly string[];
  /** Names of models to use instead, in order, while it cannot be served. Missing: none. */
  readonly fallbacks?: readonly string[];
  /** The file of this entry, for messages; "": none, reported by another machine or a provider. */
  readonly file: string;
  /** Equal fingerprints mean that running instances need no restart. Covers what reaches the engine. */
  readonly fingerprint: string;
}
