import type { Config } from "../core/config.ts";
import type { Device } from "../core/device.ts";
import type { ModelSpec } from "../core/model.ts";
import { formatBytes } from "../models/format.ts";

export interface ReplicaFacts {
  readonly model: ModelSpec;
  /** Instances of the model, and of all models, that are up or on the way. */
  readonly running: number;
  readonly runningOfAll: number;
  readonly scheduler: Pick<Config["scheduler"], "maxInstances" | "maxLoad">;
  readonly devices: readonly Pick<Device, "id" | "vendor" | "memoryFreeBytes">[];
  /** Bytes that one more instance takes on the device; null where that is not known. */
  estimate(device: string): number | null;
}

/**
 * Why a model has fewer instances than its `replicas` says; null where it has them, or says nothing, or none has been
 * needed yet. Pure.
 */
export function missingReplicas({
  model,
  running,
  runningOfAll,
  scheduler,
  devices,
  estimate,
}: ReplicaFacts): string | null {
  const { replicas, preload } = model;
  if (replicas === "auto" || running >= replicas || (running === 0 && !preload)) return null;
  const has = `${running} of ${replicas} replicas`;
  if (runningOfAll >= scheduler.maxInstances)
    return `${has}: all ${scheduler.maxInstances} instances of \`[scheduler] max_instances\` are in use`;
  const gpus = devices.filter(({ vendor }) => vendor !== "cpu");
  const eligible =
    model.devices.length > 0
      ? devices.filter(({ id }) => model.devices.includes(id))
      : gpus.length > 0
        ? gpus
        : devices;
  if (eligible.length === 0) return `${has}: this machine has none of the devices ${model.devices.join(", ")}`;
  const needs = eligible.map(({ id, memoryFreeBytes }) => ({ id, free: memoryFreeBytes, need: estimate(id) }));
  if (needs.every(({ need, free }) => need !== null && need > free)) {
    return `${has}: one more needs ${formatBytes(needs[0]?.need ?? 0)}, and ${needs.map(({ id, free }) => `${id} has ${formatBytes(free)} free`).join(", ")}`;
  }
  return preload
    ? null
    : `${has}: another starts when the load of those that run reaches \`[scheduler] max_load = ${scheduler.maxLoad}\``;
}
