import type { LlamaSettings } from "../../../core/llama.ts";
import type { ModelKind, SamplingDefaults } from "../../../core/model.ts";

/** The worker program's configuration, as JSON in its only argument. */
export interface WorkerConfig {
  readonly socketPath: string;
  readonly modelPath: string;
  readonly modelName: string;
  readonly kind: ModelKind;
  /** Context of one slot, tokens. */
  readonly contextTokens: number;
  readonly slots: number;
  /** Most tokens of one evaluation, all slots together. */
  readonly batchTokens: number;
  readonly threads: number;
  /** Null: the CPU. */
  readonly gpu: "cuda" | "vulkan" | "metal" | null;
  /** Layers on the GPU; -1: all. */
  readonly gpuLayers: number;
  readonly mmap: boolean;
  readonly cacheTypeK: string;
  readonly cacheTypeV: string;
  /** "" for the model's own, or `chatml`. */
  readonly chatTemplate: string;
  readonly pooling: string | null;
  readonly flashAttention: LlamaSettings["flashAttention"];
  /** Applied to every request. */
  readonly lora: LlamaSettings["lora"];
  readonly sampling: SamplingDefaults;
}
