export type DeviceVendor = "nvidia" | "amd" | "intel" | "apple" | "cpu";

/** A place where a local instance runs: one GPU, or the CPU. */
export interface Device {
  /** `cuda:0`, `rocm:1`, `metal:0`, `cpu`. Stable as long as the hardware is. */
  readonly id: string;
  readonly vendor: DeviceVendor;
  readonly name: string;
  readonly memoryTotalBytes: number;
  /** Free when last probed; other programs' use is already subtracted. */
  readonly memoryFreeBytes: number;
  /** 0–100, or null where it cannot be read. */
  readonly utilizationPercent: number | null;
  readonly temperatureCelsius: number | null;
  /** Bytes that models are kept from; 0 where it is missing. */
  readonly reservedBytes?: number;
  /** Of the device's driver, where that is known. */
  readonly driverVersion?: string;
  /** Environment that makes an engine see only this device, such as `CUDA_VISIBLE_DEVICES`. */
  readonly env: Readonly<Record<string, string>>;
}

/** What a probe of this machine found. */
export interface Hardware {
  readonly devices: readonly Device[];
  readonly cpu: { readonly model: string; readonly physicalCores: number; readonly logicalCores: number };
  readonly memoryTotalBytes: number;
  readonly memoryAvailableBytes: number;
  /** Probes that failed although their hardware seems present, one sentence each. */
  readonly problems: readonly string[];
}

/** What of a GPU's memory is left to others. */
export interface VramReserve {
  /** Share of the whole that models may use, next to other programs. */
  readonly maxPercent: number;
  readonly bytes: number;
}

/**
 * The device with what of its memory is reserved. The CPU's is shared with everything, and Apple's GPU is given a part
 * of it already.
 */
export const withReserve = (device: Device, { maxPercent, bytes }: VramReserve): Device =>
  device.vendor === "cpu" || device.vendor === "apple"
    ? device
    : { ...device, reservedBytes: Math.ceil(device.memoryTotalBytes * (1 - maxPercent / 100)) + bytes };

/** Of the memory of a machine without GPUs, what a model may take; the rest is the system's. */
const HOST_SHARE = 0.75;

/** Bytes that the largest model of this machine may take: on its GPUs, or in host memory where that is more. */
export function memoryForModels({ devices, memoryTotalBytes }: Hardware): number {
  const gpus = devices.filter(({ vendor }) => vendor !== "cpu");
  return Math.max(
    gpus.reduce((sum, device) => sum + device.memoryTotalBytes, 0),
    memoryTotalBytes * HOST_SHARE,
  );
}
