import { traitsOf } from "../core/engine.ts";
import {
  ENGINE_SAMPLING,
  type LoadSettings,
  type ModelKind,
  modelKinds,
  type SamplingDefaults,
} from "../core/model.ts";
import { nearestNames } from "../core/nearest.ts";
import { chatTemplate } from "./chat-templates.ts";
import { defaultBatch, defaultHostCacheMib, defaults, type Machine } from "./defaults.ts";
import type { ChatKeys, EmbeddingKeys, TranscriptionKeys, TtsKeys } from "./schema/model.ts";

/** Keys of any section; those that only one kind has are undefined in the others. */
export type SectionKeys = ChatKeys & EmbeddingKeys & TtsKeys & TranscriptionKeys;

/** What converting keys to settings needs to know, and where it reports problems. */
export interface SectionContext {
  readonly kind: ModelKind;
  readonly keys: SectionKeys;
  readonly machine: Machine;
  /** Host memory for conversations, MiB, of all instances together. */
  readonly hostCacheBudgetMib: number;
  /** Makes a path of the section's file absolute. */
  toPath(written: string): string;
  /** The model is left out. */
  refuse(key: string, message: string): void;
  warn(key: string, message: string): void;
}

/** Whether models of the kind write text token by token, a transcript too. Others compute an input at once. */
const writes = (kind: ModelKind): boolean => kind === "chat" || kind === "transcription";

const ALL_LAYERS = 999;

/** `devices`, with `main_gpu` read as what its writer means by it. Empty: any. */
export function deviceSetting({ keys, machine, warn }: SectionContext): readonly string[] {
  const { devices = [], main_gpu: mainGpu = 0 } = keys;
  const known = [...machine.gpus, "cpu"];
  if (machine.probed) {
    for (const device of devices) {
      if (known.includes(device)) continue;
      const [near] = nearestNames(device, known, 1);
      warn(
        "devices",
        `this machine has no device ${JSON.stringify(device)}; it has ${known.join(", ")}${near === undefined ? "" : ` (did you mean ${JSON.stringify(near)}?)`}`,
      );
    }
  }
  if (devices.length > 0 || mainGpu === 0) return devices;
  const gpu = machine.gpus[mainGpu];
  if (gpu !== undefined) return [gpu];
  if (machine.probed)
    warn(
      "main_gpu",
      `this machine has ${machine.gpus.length} GPUs, so there is no GPU ${mainGpu}; the model may run on any device. Name devices with \`devices = ["cuda:0"]\` instead`,
    );
  return [];
}

/** Loading settings, every one effective. */
export function loadSettings(context: SectionContext, devices: readonly string[]): Omit<LoadSettings, "llama"> {
  const { keys, kind, machine, toPath, refuse, warn } = context;
  const onGpu = devices.length > 0 ? devices.some((device) => device !== "cpu") : machine.gpus.length > 0;
  const contextTokens = keys.ctx_size ?? (writes(kind) ? defaults.contextTokens : defaults.embeddingContextTokens);
  const template = chatTemplate(kind === "chat" ? (keys.prompt_template ?? "") : "");
  if ("problem" in template) refuse("prompt_template", template.problem);
  if (keys.mmap !== undefined && keys.no_mmap === keys.mmap)
    refuse("no_mmap", `contradicts \`mmap = ${keys.mmap}\`; keep one of the two`);
  if (kind === "embedding" && keys.pooling === "none")
    refuse(
      "pooling",
      'with "none" an input has one vector for each of its tokens, and the API has room for one; expected "mean", "cls", "last" or "rank"',
    );
  const threads = keys.threads ?? "auto";
  if (threads !== "auto" && threads > machine.physicalCores) {
    warn(
      "threads",
      `${threads} threads on ${machine.physicalCores} cores make a model many times slower, so it gets ${machine.physicalCores} at most; write \`threads = "auto"\``,
    );
  }
  if ((keys.extra_args ?? []).length > 0 && !traitsOf(keys.engine ?? "auto").takesExtraArgs)
    refuse("extra_args", 'they are arguments of llama-server; write `engine = "llama-server"` or remove them');
  if (kind === "image" && keys.engine !== "command")
    refuse("engine", 'no engine of ours makes images; write `engine = "command"`, and the program under [command]');
  const layers = keys.n_gpu_layers ?? defaults.gpuLayers;
  return {
    contextTokens,
    slots: keys.slots ?? defaults.slots,
    ...(writes(kind) ? chatBatch(context, onGpu) : embeddingBatch(context, contextTokens)),
    threads: threads === "auto" ? "auto" : Math.min(threads, machine.physicalCores),
    gpuLayers: layers === -1 ? ALL_LAYERS : layers,
    splitMode: keys.split_mode ?? "layer",
    // An instance sees one GPU, which is number 0 to it.
    mainGpu: 0,
    tensorSplit: tensorSplit(context),
    mmap: keys.mmap ?? !(keys.no_mmap ?? false),
    cacheTypeK: keys.cache_type_k ?? "f16",
    cacheTypeV: keys.cache_type_v ?? "f16",
    hostCacheMib: kind === "chat" && traitsOf(keys.engine ?? "auto").hasHostCache ? hostCache(context) : 0,
    chatTemplate: "name" in template ? template.name : "",
    projectorPath: writes(kind) && keys.llava_mmproj ? toPath(keys.llava_mmproj) : "",
    pooling: keys.pooling ?? null,
    extraArgs: keys.extra_args ?? [],
  };
}

function hostCache({ keys, machine, hostCacheBudgetMib, warn }: SectionContext): number {
  if (keys.host_cache_mib !== undefined && keys.host_cache_mib > hostCacheBudgetMib) {
    warn(
      "host_cache_mib",
      `${keys.host_cache_mib} MiB is more than all instances together may use, ${hostCacheBudgetMib} MiB; write a larger \`host_cache_budget_mib\` into [scheduler] of config.toml`,
    );
  }
  return keys.host_cache_mib ?? defaultHostCacheMib(machine);
}

type Batch = Pick<LoadSettings, "batchTokens" | "microBatchTokens">;

function chatBatch({ keys, machine, warn }: SectionContext, onGpu: boolean): Batch {
  const standard = defaultBatch(machine, onGpu, keys.slots ?? defaults.slots);
  const batch = keys.batch_size ?? Math.max(standard.batch, keys.ubatch_size ?? 0);
  const wanted = keys.ubatch_size ?? (onGpu ? standard.microBatch : batch);
  if (keys.ubatch_size !== undefined && keys.ubatch_size > batch) {
    warn(
      "ubatch_size",
      `${keys.ubatch_size} is above \`batch_size = ${batch}\`, and a micro-batch is never larger than its batch: ${batch} is used; write \`ubatch_size = ${batch}\``,
    );
  }
  return { batchTokens: batch, microBatchTokens: Math.min(batch, wanted) };
}

/** An embedding's input is computed at once, so the micro-batch must hold all of it. */
function embeddingBatch({ keys, warn }: SectionContext, contextTokens: number): Batch {
  const batch = keys.batch_size ?? Math.max(512, contextTokens, keys.ubatch_size ?? 0);
  const micro = Math.min(batch, keys.ubatch_size ?? batch);
  if (micro < contextTokens) {
    const key = keys.ubatch_size === micro ? "ubatch_size" : "batch_size";
    warn(
      key,
      `inputs above ${micro} tokens will be refused although \`ctx_size\` is ${contextTokens}, because an input is computed at once; write \`${key} = ${contextTokens}\``,
    );
  }
  return { batchTokens: batch, microBatchTokens: micro };
}

function tensorSplit({ keys, refuse, warn }: SectionContext): readonly number[] {
  const written = keys.tensor_split ?? [];
  const parts = typeof written === "string" ? written.split(/[\s,;/]+/).filter((part) => part !== "") : written;
  const shares = parts.map(Number);
  if (shares.some((share) => !Number.isFinite(share) || share < 0)) {
    refuse("tensor_split", `expected shares of at least 0, such as "3,1" or [3, 1], found ${JSON.stringify(written)}`);
    return [];
  }
  if (shares.filter((share) => share > 0).length > 1)
    warn(
      "tensor_split",
      "has no effect in this version, where each instance runs on one GPU; remove it, and choose GPUs with `devices`",
    );
  return shares;
}

/** Sampling for requests that do not say otherwise. */
export function samplingDefaults({
  keys,
  kind,
  refuse,
  warn,
}: Pick<SectionContext, "keys" | "kind" | "refuse" | "warn">): SamplingDefaults {
  if (kind === "embedding")
    for (const key of idleKeys(keys)) warn(key, "has no effect on an embedding model; remove it");
  if (!modelKinds[kind].generates) return ENGINE_SAMPLING;
  const { grammar = "", json_schema: jsonSchema = "" } = keys;
  if (jsonSchema !== "") {
    if (grammar !== "")
      refuse("grammar", "an answer cannot be made to match both a `grammar` and a `json_schema`; keep one of the two");
    const problem = jsonProblem(jsonSchema);
    if (problem !== null) refuse("json_schema", problem);
  }
  return {
    temperature: keys.temp ?? null,
    topP: keys.top_p ?? null,
    topK: keys.top_k ?? null,
    minP: keys.min_p ?? null,
    repeatPenalty: keys.repeat_penalty ?? null,
    presencePenalty: keys.presence_penalty ?? null,
    frequencyPenalty: keys.frequency_penalty ?? null,
    maxTokens: keys.n_predict ?? -1,
    stop: keys.reverse_prompt ? [keys.reverse_prompt] : [],
    grammar,
    jsonSchema,
  };
}

/**
 * Keys of an [embedding] section that are set to something other than what the reference's default file says, yet do
 * nothing.
 */
function idleKeys(keys: SectionKeys): string[] {
  const idle = {
    prompt_template: "embedding",
    reverse_prompt: "",
    n_predict: -1,
    temp: 1,
    top_p: 1,
    repeat_penalty: 1.1,
    presence_penalty: 0,
    frequency_penalty: 0,
    grammar: "",
    json_schema: "",
    llava_mmproj: "",
    include_usage: false,
  } as const;
  return (Object.keys(idle) as (keyof typeof idle)[]).filter(
    (key) => keys[key] !== undefined && keys[key] !== "" && keys[key] !== idle[key],
  );
}

function jsonProblem(text: string): string | null {
  try {
    const schema: unknown = JSON.parse(text);
    return typeof schema === "object" && schema !== null && !Array.isArray(schema)
      ? null
      : "expected a JSON Schema, which is a JSON object";
  } catch (error) {
    return `expected JSON: ${(error as Error).message}`;
  }
}
