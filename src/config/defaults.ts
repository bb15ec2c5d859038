/** Values that hold where a file says nothing and that do not depend on the machine. */
export const defaults = {
  httpAddr: "127.0.0.1:8080",
  grpcAddr: "127.0.0.1:50051",
  remoteWeight: 1,
  providerConcurrency: 64,
  providerConnectTimeoutS: 10,
  // As OpenAI's own clients: an answer in one piece is silent until it is whole.
  providerTimeoutS: 600,
  bodyLimitMib: 64,
  maxMessages: 10_000,
  /** As in OpenAI's API. */
  keepResponsesDays: 30,
  /** As in OpenAI's API. */
  fileLimitMib: 512,
  maxStoredMib: 20_480,
  maxStoredRecords: 1_000_000,
  minFreeDiskMib: 512,
  keepObjectsDays: 7,
  /** As in OpenAI's API. */
  speechInputCharacters: 4096,
  unknownModel: "refuse",
  // What was acknowledged is not lost, whatever happens to the machine.
  storeSync: "always",
  sharePrefixes: false,
  maxInstances: 10,
  maxLoad: 0.8,
  maxQueuedPerModel: 512,
  maxQueuedPerTenant: 256,
  policy: "expected-time",
  maxWaitS: 60,
  maxSwapWaitS: 30,
  maxVramPercent: 95,
  vramReserveMib: 1024,
  startTimeoutS: 300,
  wedgeAfterS: 60,
  drainTimeoutS: 30,
  // Two to four full conversations of a model of 8 billion parameters, hundreds of a small one.
  slotCacheMib: 4096,
  taskMaxAttempts: 3,
  taskRetentionH: 24,
  maxPendingTasks: 1_000_000,
  clusterLostAfterS: 10,
  webhookTimeoutS: 30,
  webhookRetries: 3,
  conversationTtlDays: 7,
  maxConversationMessages: 100,
  serviceName: "assistant",
  sampleRatio: 1,
  /** As OpenTelemetry's. */
  traceBatchDelayMs: 5_000,
  /** As OpenTelemetry's. */
  traceTimeoutMs: 10_000,
  buildInBackground: true,
  logLevel: "info",
  contextTokens: 4096,
  // The window that most embedding models were trained with.
  embeddingContextTokens: 512,
  slots: 4,
  gpuLayers: 100,
  // Users of other local model managers know five minutes, and memory is worth more than a start of a few seconds.
  idleTtlS: 300,
} as const;

/**
 * The stable facts about the machine from which defaults are derived. Free memory is not among them: a reload must not
 * change settings by itself.
 */
export interface Machine {
  readonly physicalCores: number;
  readonly logicalCores: number;
  readonly memoryTotalBytes: number;
  /** Ids of the GPUs, in order. */
  readonly gpus: readonly string[];
  /** Whether the list of GPUs comes from a probe; without one, unknown device names cannot be detected. */
  readonly probed: boolean;
}

const GPU_BATCH_TOKENS = 2048;
const GPU_MICRO_BATCH_TOKENS = 512;
const LARGEST_HOST_CACHE_MIB = 8192;

/**
 * Tokens of one prompt from which llama.cpp's attention on a CPU works in tiles. A 135M model on two cores prefills
 * 159, 169, 167, 173 tokens/s in batches of 16, 24, 32 and 63 tokens, and 244, 239, 259 in batches of 64, 96 and 128.
 */
const CPU_TILE_TOKENS = 64;

/**
 * Tokens of one prefill batch. A prompt whose client has disconnected is only cancelled between batches, and answers
 * get one token per batch meanwhile, so on a CPU one should last about 200 ms: 12 tokens per core, but a tile at least.
 * Each slot that decodes takes a token of the batch. GPUs need large batches and finish them in time.
 */
export function defaultBatch(machine: Machine, onGpu: boolean, slots: number): { batch: number; microBatch: number } {
  if (onGpu) return { batch: GPU_BATCH_TOKENS, microBatch: GPU_MICRO_BATCH_TOKENS };
  const fitting = Math.min(512, Math.max(CPU_TILE_TOKENS + slots, machine.physicalCores * 12));
  const rounded = Math.ceil(fitting / 8) * 8;
  return { batch: rounded, microBatch: rounded };
}

/**
 * MiB of host memory that all instances together may use for the KV state of conversations that lost their slot: an
 * eighth of the memory.
 */
export const defaultHostCacheBudgetMib = (machine: Machine): number =>
  Math.floor(machine.memoryTotalBytes / 2 ** 20 / 8);

/**
 * MiB of host memory, per instance, for the KV state of conversations that lost their slot: an eighth of the memory
 * shared by as many instances as there are devices, in steps of 256, at most 8 GiB. Not divided by the number of
 * models, or adding one would restart all others.
 */
export function defaultHostCacheMib(machine: Machine): number {
  const share = machine.memoryTotalBytes / 2 ** 20 / 8 / Math.max(1, machine.gpus.length);
  return Math.min(LARGEST_HOST_CACHE_MIB, Math.floor(share / 256) * 256);
}
