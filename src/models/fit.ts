import type { GgmlType, GgufFileInfo } from "node-llama-cpp";
import { traitsOf } from "../core/engine.ts";
import { type EngineId, type LoadSettings, type ModelKind, modelKinds } from "../core/model.ts";
import { readWholeHeader } from "./whole-header.ts";

/** The settings that decide how much memory an instance takes. `gpuLayers` 0: all on the CPU. */
export type FitSettings = Pick<
  LoadSettings,
  "contextTokens" | "slots" | "microBatchTokens" | "gpuLayers" | "cacheTypeK" | "cacheTypeV"
> & {
  readonly kind: ModelKind;
  /** Default: llama-server. */
  readonly engine?: EngineId;
  /** Layers, from the first, whose experts stay in host memory; -1: all. Default: 0. */
  readonly cpuMoeLayers?: number;
};

/** Bytes of one part, where it is stored. */
export interface MemoryShare {
  readonly hostBytes: number;
  readonly gpuBytes: number;
}

/** Memory of one instance. `total` is the sum of the others. */
export interface MemoryEstimate {
  readonly weights: MemoryShare;
  /** KV cache of all slots at full context. */
  readonly cache: MemoryShare;
  /** Buffers that evaluation needs, and the program itself. */
  readonly compute: MemoryShare;
  readonly total: MemoryShare;
}

/**
 * GPU memory of a process for the driver's context, kernels and cuBLAS, in addition to llama.cpp's own: 543 and 613 MB
 * were measured for two models on an H200 with CUDA 12. Apple's GPUs share the host's memory and need none of it.
 */
const GPU_CONTEXT_BYTES = process.platform === "darwin" ? 0 : 550e6;

/**
 * Memory that one instance of `file` will hold when every slot is full. Weights and cache are llama.cpp's own figures
 * (node-llama-cpp simulates the allocation; no backend is loaded); what evaluation touches on a CPU is a formula,
 * within 10 % of what llama-server was seen to hold (docs/models.md). Takes about 0.5 s the first time.
 *
 * Throws `model_invalid`.
 */
export async function estimateMemory(file: string, settings: FitSettings): Promise<MemoryEstimate> {
  const info = await readWholeHeader(file);
  const { GgufInsights } = await import("node-llama-cpp");
  const insights = await GgufInsights.from(info);
  const layers = Math.min(settings.gpuLayers, insights.totalLayers);
  const weights = await insights.estimateModelResourceRequirementsV2({ gpuLayers: layers, useMmap: true });
  const context = async (batchSize: number): Promise<number> => {
    const { cpuRam, gpuVram } = await insights.estimateContextResourceRequirementsV2({
      contextSize: settings.contextTokens,
      sequences: settings.slots,
      batchSize,
      modelGpuLayers: layers,
      isEmbeddingContext: !modelKinds[settings.kind].generates,
      flashAttention: "auto",
      ...(await cacheTypes(settings)),
    });
    return cpuRam + gpuVram;
  };
  // With a batch of one token hardly anything but the cache is left.
  const cacheBytes = await context(1);
  const reservedBytes = (await context(settings.microBatchTokens)) - cacheBytes;
  const onGpu = insights.totalLayers === 0 ? 0 : layers / insights.totalLayers;
  const shape = info.architectureMetadata;
  const program = traitsOf(settings.engine ?? "auto").programBytes[settings.kind] ?? 0;
  const activations = activationBytes(settings, {
    embedding: shape?.embedding_length ?? 0,
    feedForward: first(shape?.feed_forward_length),
    heads: first(shape?.attention?.head_count),
  });
  const experts = expertBytes(info, insights.totalLayers - layers, settings.cpuMoeLayers ?? 0);
  return sum(
    { hostBytes: weights.cpuRam + experts, gpuBytes: weights.gpuVram - experts },
    { hostBytes: Math.round(cacheBytes * (1 - onGpu)), gpuBytes: Math.round(cacheBytes * onGpu) },
    layers > 0
      ? { hostBytes: program, gpuBytes: Math.max(0, reservedBytes) + GPU_CONTEXT_BYTES }
      : { hostBytes: program + activations, gpuBytes: 0 },
  );
}

/**
 * Bytes of the experts that `n_cpu_moe` keeps in host memory, among the layers on the GPU: those behind the first
 * `hostLayers`. A tensor ends where the next one begins.
 */
function expertBytes({ fullTensorInfo = [] }: GgufFileInfo, hostLayers: number, cpuMoeLayers: number): number {
  if (cpuMoeLayers === 0) return 0;
  const tensors = [...fullTensorInfo].sort((a, b) => Number(a.offset) - Number(b.offset));
  const end = cpuMoeLayers < 0 ? Number.POSITIVE_INFINITY : cpuMoeLayers;
  return tensors.reduce((sum, { name, offset }, index) => {
    const layer = /^blk\.(\d+)\.ffn_(?:up|down|gate|gate_up)_(?:ch)?exps/u.exec(name)?.[1];
    const next = tensors[index + 1];
    const isKept = layer !== undefined && Number(layer) >= hostLayers && Number(layer) < end;
    return isKept && next !== undefined ? sum + Number(next.offset) - Number(offset) : sum;
  }, 0);
}

interface Shape {
  readonly embedding: number;
  readonly feedForward: number;
  readonly heads: number;
}

/**
 * Bytes of a CPU's compute buffers that are actually touched. llama.cpp reserves room for the logits of a whole
 * micro-batch (100 MB for a vocabulary of 49,152), but only the last token's are written, and untouched pages take no
 * memory. An encoder evaluates the inputs of all slots together, as far as they fit a micro-batch, and keeps four
 * attention matrices over all of its tokens.
 */
function activationBytes(
  { microBatchTokens, contextTokens, slots, kind }: FitSettings,
  { embedding, feedForward, heads }: Shape,
): number {
  const tokens = Math.min(microBatchTokens, slots * contextTokens);
  const attention = modelKinds[kind].generates ? 0 : 4 * heads * tokens * tokens;
  return (tokens * (3 * feedForward + 4 * embedding) + attention) * Float32Array.BYTES_PER_ELEMENT;
}

/** Some architectures give one figure for each layer. */
const first = (value: unknown): number => {
  const [one] = Array.isArray(value) ? (value as unknown[]) : [value];
  return typeof one === "number" ? one : 0;
};

async function cacheTypes({
  cacheTypeK,
  cacheTypeV,
}: FitSettings): Promise<{ kvCacheKeyType?: GgmlType; kvCacheValueType?: GgmlType }> {
  const { GgmlType: types } = await import("node-llama-cpp");
  const typeOf = (name: string): GgmlType | undefined => types[name.toUpperCase() as keyof typeof types];
  const key = typeOf(cacheTypeK);
  const value = typeOf(cacheTypeV);
  return {
    ...(key === undefined ? {} : { kvCacheKeyType: key }),
    ...(value === undefined ? {} : { kvCacheValueType: value }),
  };
}

function sum(weights: MemoryShare, cache: MemoryShare, compute: MemoryShare): MemoryEstimate {
  const add = (part: "hostBytes" | "gpuBytes"): number => weights[part] + cache[part] + compute[part];
  return { weights, cache, compute, total: { hostBytes: add("hostBytes"), gpuBytes: add("gpuBytes") } };
}
