import { readFile } from "node:fs/promises";
import { availableParallelism, cpus } from "node:os";
import type { Hardware } from "../core/device.ts";
import { groupLimits } from "./limits.ts";

export interface HostFacts {
  readonly cpu: Hardware["cpu"];
  readonly memory: HostMemory;
}

export interface HostMemory {
  readonly totalBytes: number;
  readonly availableBytes: number;
}

/** Processor and memory available to this process, considering affinity and container limits. */
export async function hostFacts(): Promise<HostFacts> {
  const [memory, physical, limits] = await Promise.all([hostMemory(), physicalCores(), groupLimits()]);
  const logicalCores = Math.max(
    1,
    Math.min(availableParallelism(), Math.floor(limits.cpus ?? Number.POSITIVE_INFINITY)),
  );
  const model = cpus()[0]?.model.trim() || "CPU";
  return {
    memory,
    cpu: { model, logicalCores, physicalCores: Math.max(1, Math.min(physical ?? logicalCores, logicalCores)) },
  };
}

/** Memory of this machine, or of the container. */
export async function hostMemory(): Promise<HostMemory> {
  const [memory, limits] = await Promise.all([machineMemory(), groupLimits()]);
  const totalBytes = Math.min(memory.totalBytes, limits.memoryBytes ?? Number.POSITIVE_INFINITY);
  const roomBytes =
    limits.memoryBytes === null ? Number.POSITIVE_INFINITY : limits.memoryBytes - (limits.memoryUsedBytes ?? 0);
  return { totalBytes, availableBytes: Math.max(0, Math.min(memory.availableBytes, roomBytes)) };
}

/** On Linux, two small files contain it; elsewhere the library is loaded, which takes 25 ms. */
async function machineMemory(): Promise<HostMemory> {
  const meminfo = await readFile("/proc/meminfo", "utf8").catch(() => null);
  const kib = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo ?? "")?.[1] ?? 0);
  if (meminfo !== null && kib("MemAvailable") > 0)
    return { totalBytes: kib("MemTotal") * 1024, availableBytes: kib("MemAvailable") * 1024 };
  const { mem } = await import("systeminformation");
  const { total, available } = await mem();
  return { totalBytes: total, availableBytes: available };
}

async function physicalCores(): Promise<number | null> {
  const cpuinfo = await readFile("/proc/cpuinfo", "utf8").catch(() => null);
  if (cpuinfo === null) {
    const { cpu } = await import("systeminformation");
    return (await cpu()).physicalCores || null;
  }
  const cores = new Set<string>();
  for (const block of cpuinfo.split("\n\n")) {
    const core = /^core id\s*:\s*(\d+)/m.exec(block)?.[1];
    if (core !== undefined) cores.add(`${/^physical id\s*:\s*(\d+)/m.exec(block)?.[1] ?? 0}/${core}`);
  }
  // ARM machines report no cores there; they have one thread per core.
  return cores.size > 0 ? cores.size : null;
}
