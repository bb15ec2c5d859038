import type { Device, Hardware } from "../core/device.ts";
import { type ModelKind, modelKinds } from "../core/model.ts";
import { defaultBatch, defaultHostCacheMib, defaults } from "./defaults.ts";
import { machineFrom } from "./machine.ts";

/** Values for a template's placeholders. */
export type Values = Readonly<Record<string, string | number>>;

const GIB = 2 ** 30;

/** The machine in a few words: "Xeon, 2 cores, 24 GiB of memory, no GPU". */
function machineText({ cpu, devices, memoryTotalBytes }: Hardware): string {
  const gpus = devices.filter((device) => device.vendor !== "cpu");
  const names = [...new Set(gpus.map((gpu) => gpu.name))];
  const graphics =
    gpus.length === 0 ? "no GPU" : `${gpus.length} × ${names.join(", ")} (${gigabytes(smallest(gpus))} GB each)`;
  return oneLine(
    `${cpu.model}, ${plural(cpu.physicalCores, "core")}, ${gigabytes(memoryTotalBytes)} GB of memory, ${graphics}`,
  );
}

/** Values of config.toml that fit the machine. */
export function fitConfig(hardware: Hardware): Values {
  const gpus = hardware.devices.filter((device) => device.vendor !== "cpu");
  const cores = machineFrom(hardware).physicalCores;
  // A model of the usual kind takes about two gibibytes with its context.
  const byMemory = Math.floor(
    (gpus.length > 0 ? gpus.reduce((sum, gpu) => sum + gpu.memoryTotalBytes, 0) : hardware.memoryTotalBytes) / GIB / 2,
  );
  return {
    machine: machineText(hardware),
    maxInstances: Math.max(1, gpus.length, Math.min(32, byMemory)),
    instancesReason:
      gpus.length > 0
        ? `Maximum number of instances: about one per 2 GB of GPU memory.`
        : "Maximum number of instances: about one per 2 GB of this machine's memory.",
    threadBudget: cores,
    threadsReason: `Threads of all instances together: the ${plural(cores, "physical core")} of this machine; more make every model slower.`,
  };
}

/**
 * Values of a model's file that fit the machine. The model's size is not known here: the values suit small to middling
 * ones.
 */
export function fitModel(hardware: Hardware, kind: ModelKind): Values {
  const machine = machineFrom(hardware);
  const gpus = hardware.devices.filter((device) => device.vendor !== "cpu");
  const onGpu = gpus.length > 0;
  const memory = onGpu ? smallest(gpus) : hardware.memoryTotalBytes;
  const { generates } = modelKinds[kind];
  const { contextTokens, slots } = generates
    ? contextFor(memory, onGpu)
    : { contextTokens: defaults.embeddingContextTokens, slots: defaults.slots };
  const batch = generates ? defaultBatch(machine, onGpu, slots) : { batch: contextTokens, microBatch: contextTokens };
  // With the layers on a GPU the threads only feed it.
  const threads = onGpu
    ? Math.max(1, Math.min(4, Math.floor(machine.physicalCores / gpus.length)))
    : machine.physicalCores;
  const where = onGpu ? `${gigabytes(memory)} GB of GPU memory` : `${gigabytes(memory)} GB of memory`;
  return {
    machine: machineText(hardware),
    // Not fixed: the GPU is used as soon as an engine can use it.
    devices: onGpu ? `# devices = [${gpus.map((gpu) => JSON.stringify(gpu.id)).join(", ")}]` : 'devices = ["cpu"]',
    devicesReason: onGpu
      ? `Where it may run; by default on ${gpus.length === 1 ? "the GPU of this machine" : `each of the ${gpus.length} GPUs of this machine; busy ones get help from the next`}, on the CPU while no engine here can use it.`
      : "Where it runs: no GPU was found on this machine.",
    gpuLayers: onGpu ? defaults.gpuLayers : 0,
    layersReason: onGpu
      ? "Layers on the GPU; more than the model has means all."
      : "Layers on a GPU: none, since there is no GPU.",
    threads,
    threadsReason: onGpu
      ? `Threads of one instance: the GPU computes, so a few of the ${plural(machine.physicalCores, "core")} are enough.`
      : `Threads of one instance: one per physical core (${machine.physicalCores}); several instances at once share them.`,
    contextTokens,
    contextReason: `Chosen for ${where}, which ${slots} requests of this size share with the weights.`,
    slots,
    batchTokens: batch.batch,
    microBatchTokens: batch.microBatch,
    batchReason: onGpu
      ? "Tokens of a prompt computed at once: large, as a GPU needs."
      : `Tokens per prefill batch: about 200 ms of work for ${plural(machine.physicalCores, "core")}, so that requests of disconnected clients end soon.`,
    hostCacheMib: defaultHostCacheMib(machine),
    cacheReason:
      "Host memory, in MiB, for conversations that lost their slot, so that they need not be computed again.",
  };
}

function contextFor(memoryBytes: number, onGpu: boolean): { contextTokens: number; slots: number } {
  const memory = memoryBytes / GIB;
  if (memory < 4) return { contextTokens: 2048, slots: 2 };
  if (memory < 12 || !onGpu) return { contextTokens: defaults.contextTokens, slots: defaults.slots };
  return memory < 40 ? { contextTokens: 8192, slots: 4 } : { contextTokens: 8192, slots: 8 };
}

const smallest = (devices: readonly Device[]): number => Math.min(...devices.map((device) => device.memoryTotalBytes));
const gigabytes = (bytes: number): number => Math.round(bytes / 1e9);
const plural = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;
// Names come from drivers; a line break in one would end the comment it stands in.
const oneLine = (text: string): string => text.replace(/[\p{Cc}\s]+/gu, " ").trim();
