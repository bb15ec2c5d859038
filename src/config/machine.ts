import { availableParallelism, cpus, totalmem } from "node:os";
import type { Hardware } from "../core/device.ts";
import type { Machine } from "./defaults.ts";

/**
 * The facts from which defaults are derived. Without a probe, the operating system's own figures: logical cores, no
 * GPUs.
 */
export function machineFrom(hardware: Hardware | undefined): Machine {
  if (hardware === undefined) {
    const cores = Math.max(1, Math.min(availableParallelism(), cpus().length || 1));
    return { physicalCores: cores, logicalCores: cores, memoryTotalBytes: totalmem(), gpus: [], probed: false };
  }
  return {
    physicalCores: Math.max(1, hardware.cpu.physicalCores),
    logicalCores: Math.max(1, hardware.cpu.logicalCores),
    memoryTotalBytes: hardware.memoryTotalBytes,
    gpus: hardware.devices.filter((device) => device.vendor !== "cpu").map((device) => device.id),
    probed: true,
  };
}
