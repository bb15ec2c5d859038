import type { Device } from "../core/device.ts";
import type { ModelSpec } from "../core/model.ts";

/** An instance that runs or is being started, as the governor sees it. */
export interface ThreadUser {
  readonly threads: number;
  /** Device id. */
  readonly device: string;
}

/** Threads that keep a GPU fed: one that waits for it, one for sampling and HTTP. */
const GPU_THREADS = 2;

/**
 * How many threads a new instance on `device` gets, at least 1. ggml's threads spin while they wait for each other, so
 * that two instances which share a core stop both: all together never use more than `budget`, as long as there are no more
 * instances than threads. Threads cannot be taken back from a running instance; therefore the first of `cpuInstances`
 * (how many are to share the processor, this one counted) leaves the others their shares. `wanted` is the model's setting.
 */
export function grantThreads(running: readonly ThreadUser[], device: string, wanted: number | "auto", budget: number, cpuInstances = 1): number {
  const used = running.reduce((sum, user) => sum + user.threads, 0);
  const onCpu = running.filter((user) => user.device === "cpu").length;
  const isCpu = device === "cpu";
  const further = Math.max(0, cpuInstances - onCpu - (isCpu ? 1 : 0));
  const free = Math.floor(budget) - used;
  const share = isCpu ? free / (1 + further) : Math.min(GPU_THREADS, free - further);
  return Math.max(1, Math.min(free, Math.floor(wanted === "auto" ? share : wanted)));
}

/** How many instances may run on the CPU at once under this configuration. Models without a device list use the GPUs where there are some. */
export function cpuInstancesOf(models: readonly ModelSpec[], devices: readonly Device[], maxInstances: number): number {
  const hasGpu = devices.some((device) => device.id !== "cpu");
  const replicas = models
    .filter((model) => (model.devices.length === 0 ? !hasGpu : model.devices.includes("cpu")))
    .map((model) => (model.replicas === "auto" ? 1 : model.replicas));
  return Math.min(
    maxInstances,
    replicas.reduce((sum, count) => sum + count, 0),
  );
}
