import type { Device } from "../../../src/core/device.ts";
import type { LoadSettings, ModelSpec } from "../../../src/core/model.ts";

/** What is tuned. Every value is effective: `threads` is a number here, also where the file says "auto". */
export interface TuneSettings {
  readonly threads: number;
  readonly slots: number;
  readonly batchTokens: number;
  readonly microBatchTokens: number;
  readonly cacheTypeK: string;
  readonly cacheTypeV: string;
}

/** The keys of a model file, in the order in which they are reported and written. */
const keyNames = {
  threads: "threads",
  slots: "slots",
  batchTokens: "batch_size",
  microBatchTokens: "ubatch_size",
  cacheTypeK: "cache_type_k",
  cacheTypeV: "cache_type_v",
} as const satisfies Record<keyof TuneSettings, string>;

const fields = Object.keys(keyNames) as (keyof TuneSettings)[];

export interface SettingChange {
  /** Key of the model file. */
  readonly key: string;
  readonly from: string | number;
  readonly to: string | number;
}

export const settingsKey = (settings: TuneSettings): string => fields.map((field) => settings[field]).join(" ");

/** "threads 2, slots 4, batch 32/32, cache f16". */
export function settingsText({
  threads,
  slots,
  batchTokens,
  microBatchTokens,
  cacheTypeK,
  cacheTypeV,
}: TuneSettings): string {
  const cache = cacheTypeK === cacheTypeV ? cacheTypeK : `${cacheTypeK}/${cacheTypeV}`;
  return `threads ${threads}, slots ${slots}, batch ${batchTokens}/${microBatchTokens}, cache ${cache}`;
}

/** What differs, as keys of the model file. */
export const changesBetween = (
  from: Omit<TuneSettings, "threads"> & { readonly threads: number | "auto" },
  to: TuneSettings,
): SettingChange[] =>
  fields
    .filter((field) => from[field] !== to[field])
    .map((field) => ({ key: keyNames[field], from: from[field], to: to[field] }));

/** Threads that wait for a GPU, sample and answer. */
const GPU_THREADS = 2;

/**
 * Maximum threads of one instance while `sideBySide` models, including itself, run on the device: its share of
 * `threadBudget`, which is for all instances together. On a GPU, threads only feed it, so sharing does not matter.
 */
export const threadShare = (device: Pick<Device, "vendor">, threadBudget: number, sideBySide: number): number =>
  device.vendor === "cpu" ? Math.max(1, Math.floor(threadBudget / sideBySide)) : threadBudget;

/** The model's settings as one instance would have them that may use so many threads. */
export function startSettings(
  { load }: Pick<ModelSpec, "load">,
  device: Pick<Device, "vendor">,
  mostThreads: number,
): TuneSettings {
  const alone = device.vendor === "cpu" ? mostThreads : Math.min(GPU_THREADS, mostThreads);
  return {
    threads: load.threads === "auto" ? alone : Math.min(load.threads, mostThreads),
    slots: load.slots,
    batchTokens: load.batchTokens,
    microBatchTokens: Math.min(load.microBatchTokens, load.batchTokens),
    cacheTypeK: load.cacheTypeK,
    cacheTypeV: load.cacheTypeV,
  };
}

/** The loading settings of a trial. No host cache: keeping what lost its slot would be measured along. */
export const loadWith = (load: LoadSettings, settings: TuneSettings): LoadSettings => ({
  ...load,
  ...settings,
  hostCacheMib: 0,
});
