import {
  getLlama,
  type Llama,
  type LlamaContextSequence,
  LlamaLogLevel,
  type LlamaModel,
  type Token,
} from "node-llama-cpp";
import type { WorkerConfig } from "./config.ts";
import { type Embedder, loadEmbedder } from "./embeddings.ts";
import type { Evaluation } from "./generate.ts";
import { Prompts } from "./prompt.ts";
import { loadRanker, type Ranker } from "./ranking.ts";
import { Slots } from "./slots.ts";
import { Steps } from "./steps.ts";
import { ThreadGovernor } from "./threads.ts";

/** Everything that serves requests once the weights are in memory. */
export interface LoadedModel {
  readonly config: WorkerConfig;
  readonly llama: Llama;
  readonly model: LlamaModel;
  readonly prompts: Prompts;
  readonly slots: Slots;
  readonly evaluation: Evaluation;
  /** Set in an instance of an embedding model. */
  readonly embedder: Embedder | null;
  /** Set in an instance of a reranking model. */
  readonly ranker: Ranker | null;
}

/**
 * Loads weights and contexts. Nothing is built, downloaded or reduced: the requested settings are used, or it fails.
 */
export async function loadModel(
  config: WorkerConfig,
  onProgress: (share: number) => void,
  log: (line: string) => void,
): Promise<LoadedModel> {
  const llama = await getLlama({
    ...{
      gpu: config.gpu ?? false,
      build: "never",
      skipDownload: true,
      progressLogs: false,
      maxThreads: config.threads,
    },
    logLevel: LlamaLogLevel.warn,
    logger: (level, message) => log(`llama.cpp ${level}: ${message.trimEnd()}`),
  });
  const model = await llama.loadModel({
    modelPath: config.modelPath,
    gpuLayers: config.gpu === null ? 0 : config.gpuLayers < 0 ? "max" : config.gpuLayers,
    useMmap: config.mmap,
    // Whether it fits is decided before the start, for all engines alike.
    ignoreMemorySafetyChecks: true,
    onLoadProgress: onProgress,
  });
  const contextTokens = Math.min(config.contextTokens, model.trainContextSize);
  if (contextTokens < config.contextTokens)
    log(`the model was trained for ${contextTokens} tokens of context; ${config.contextTokens} were asked for`);
  const prompts = new Prompts(model, config.chatTemplate);
  const embedder = config.kind === "embedding" ? await loadEmbedder(model, { ...config, contextTokens }) : null;
  const ranker = config.kind === "rerank" ? await loadRanker(model, { ...config, contextTokens }) : null;
  const generates = embedder === null && ranker === null;
  const sequences = generates
    ? await chatSequences(model, config, contextTokens)
    : Array.from({ length: config.slots }, () => null);
  const slots = new Slots(sequences);
  const governor = new ThreadGovernor(generates ? config.threads : 1, (threads) => {
    llama.maxThreads = threads;
  });
  const evaluation: Evaluation = {
    contextTokens,
    onStep: (tokens, ms) => governor.observe(stepKind(slots, tokens), ms, performance.now()),
    // Slots that decode have their place in the batch; a prompt takes what they leave.
    chunkTokens: () => config.batchTokens - (slots.active - 1),
    isEnd: (token: Token) => model.isEogToken(token),
    steps: new Steps(),
    textOf: (token) => prompts.detokenizeMarks([token]),
  };
  return { config, llama, model, prompts, slots, evaluation, embedder, ranker };
}

/** Steps take as long as the whole batch they are part of: only those with equal company can be compared. */
function stepKind(slots: Slots, tokens: number): string {
  const prompts = slots.all.filter((slot) => slot.busy && slot.work?.decoded === 0).length;
  return `${slots.active} ${prompts} ${tokens === 1 ? "decode" : `prompt ${tokens}`}`;
}

async function chatSequences(
  model: LlamaModel,
  config: WorkerConfig,
  contextTokens: number,
): Promise<LlamaContextSequence[]> {
  const context = await model.createContext({
    ...{ sequences: config.slots, contextSize: contextTokens, batchSize: config.batchTokens },
    threads: { ideal: config.threads, min: 1 },
    ...cacheTypes(config),
    flashAttention: config.flashAttention === "auto" ? "auto" : config.flashAttention === "on",
    lora: { adapters: config.lora.map(({ path: filePath, scale }) => ({ filePath, scale })) },
    ignoreMemorySafetyChecks: true,
    failedCreationRemedy: false,
  });
  return Array.from({ length: config.slots }, () => context.getSequence());
}

function cacheTypes({ cacheTypeK, cacheTypeV }: WorkerConfig) {
  type CacheType = NonNullable<NonNullable<Parameters<LlamaModel["createContext"]>[0]>["experimentalKvCacheKeyType"]>;
  const named = (type: string): CacheType => type.toUpperCase() as CacheType;
  if (cacheTypeK === "f16" && cacheTypeV === "f16") return {};
  return { experimentalKvCacheKeyType: named(cacheTypeK), experimentalKvCacheValueType: named(cacheTypeV) };
}
