import type { DaemonStatus } from "../api/status.ts";

type Device = DaemonStatus["devices"][number];

export interface GpuStats {
  readonly gpu_info: {
    readonly name: string;
    readonly index: number;
    /** As the daemon calls it. */
    readonly device: string;
    readonly driver_version: string | null;
    /** The newest that the driver runs. */
    readonly cuda_version: string | null;
    readonly temperature_celsius: number | null;
    readonly gpu_utilization_percent: number | null;
  };
  readonly vram_usage: {
    readonly total_mb: number;
    readonly used_mb: number;
    readonly free_mb: number;
    readonly used_percent: number;
    /** What models are kept from. */
    readonly reserved_mb: number;
  };
  /** A request has the GPU for itself. */
  readonly is_locked: boolean;
  /** The task that it is of, or the request's own id where it is of none. */
  readonly current_task_id: string | null;
}

export interface GpuFacts {
  readonly cudaVersion: string | null;
  /** Of the task that a request is of. */
  taskOf(requestId: string): string | null;
}

const MIB = 2 ** 20;

/** Each GPU of this machine, in order. */
export const gpusOf = ({ devices }: Pick<DaemonStatus, "devices">, facts: GpuFacts): GpuStats[] =>
  devices.filter(({ vendor }) => vendor !== "cpu").map((device, index) => statsOf(device, index, facts));

function statsOf(device: Device, index: number, { cudaVersion, taskOf }: GpuFacts): GpuStats {
  const { memoryTotalBytes: total, memoryFreeBytes: free, exclusiveRequest: holder = null } = device;
  const used = Math.max(0, total - free);
  return {
    gpu_info: {
      name: device.name,
      index: Number(/:(\d+)$/.exec(device.id)?.[1] ?? index),
      device: device.id,
      driver_version: device.driverVersion ?? null,
      cuda_version: device.vendor === "nvidia" ? cudaVersion : null,
      temperature_celsius: device.temperatureCelsius,
      gpu_utilization_percent: device.utilizationPercent,
    },
    vram_usage: {
      total_mb: Math.round(total / MIB),
      used_mb: Math.round(used / MIB),
      free_mb: Math.round(free / MIB),
      used_percent: total > 0 ? round2((used / total) * 100) : 0,
      reserved_mb: Math.round((device.reservedBytes ?? 0) / MIB),
    },
    is_locked: holder !== null,
    current_task_id: holder === null ? null : (taskOf(holder) ?? holder),
  };
}

const round2 = (value: number): number => Math.round(value * 100) / 100;
