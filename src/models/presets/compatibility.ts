import { defaults } from "../../config/defaults.ts";
import { type Device, type Hardware, withReserve } from "../../core/device.ts";
import { type LocalPreset, type Quantization, quantizations } from "./preset.ts";

const MIB = 2 ** 20;
/** If no configuration was read. */
const DEFAULT_RESERVE = { maxPercent: defaults.maxVramPercent, bytes: defaults.vramReserveMib * MIB };

/** GiB that a billion parameters take. */
const COEFFICIENTS: Readonly<Record<Quantization, number>> = { q4_k_m: 0.5, q5_k_m: 0.6, q8_0: 0.9, fp16: 2 };
const UNKNOWN_COEFFICIENT = 1;
/** Context and buffers, on top of the weights. */
const OVERHEAD = 1.15;

/** Those that take about as much as one that memory is computed for. */
const ALIKE: Readonly<Record<string, Quantization>> = {
  q6_k: "q8_0",
  q2_k: "q4_k_m",
  q3_k_s: "q4_k_m",
  q3_k_m: "q4_k_m",
  q3_k_l: "q4_k_m",
  q4_k_s: "q4_k_m",
  q5_k_s: "q5_k_m",
  f16: "fp16",
};
const USUAL: Quantization = "q4_k_m";

/** The quantization used to compute memory for a given one; null: there is none of that name. */
function alike(name: string): Quantization | null {
  const wanted = name.toLowerCase();
  return quantizations.find((known) => known === wanted) ?? ALIKE[wanted] ?? null;
}

/** The same, of a file; the usual one where its name does not say. */
export function quantizationOfFile(filename: string | null): Quantization {
  for (const part of (filename ?? "").toLowerCase().split(/[-./]/)) {
    const found = alike(part);
    if (found !== null) return found;
  }
  return USUAL;
}

/** MiB that a model takes on a GPU: what its preset states, else what its size suggests. */
export function requiredMib({ sizeB, vramMib }: Sized, quantization: string): number {
  const known = alike(quantization);
  const stated = known === null ? undefined : vramMib[known];
  return stated ?? Math.trunc(sizeB * (known === null ? UNKNOWN_COEFFICIENT : COEFFICIENTS[known]) * 1024 * OVERHEAD);
}

/** MiB of a GPU that a further model may take. */
export function availableMib(device: Device): number {
  const { reservedBytes = 0 } = device.reservedBytes === undefined ? withReserve(device, DEFAULT_RESERVE) : device;
  return Math.max(0, Math.trunc((device.memoryFreeBytes - reservedBytes) / MIB));
}

/** What memory is computed from. */
export type Sized = Pick<LocalPreset, "name" | "sizeB" | "vramMib">;

export interface Compatibility {
  readonly compatible: boolean;
  readonly requiredMib: number;
  /** For the GPU with the most room; 0 if there is none. */
  readonly availableMib: number;
  /** The first that fits a GPU, smallest first; null: none does. */
  readonly recommended: Quantization | null;
  /** Why it is not compatible, and what to do. */
  readonly warning: string | null;
}

/** Whether a GPU of this machine has room for the model now. */
export function checkCompatibility(preset: Sized, quantization: string, hardware: Hardware): Compatibility {
  const required = requiredMib(preset, quantization);
  const gpus = hardware.devices.filter(({ vendor }) => vendor !== "cpu");
  const available = Math.max(0, ...gpus.map(availableMib));
  const recommended = quantizations.find((each) => requiredMib(preset, each) <= available) ?? null;
  const compatible = gpus.length > 0 && required <= available;
  return {
    compatible,
    requiredMib: required,
    availableMib: available,
    recommended: gpus.length > 0 ? recommended : null,
    warning: compatible ? null : warningOf(preset.name, required, available, gpus.length, recommended, hardware),
  };
}

function warningOf(
  name: string,
  required: number,
  available: number,
  gpus: number,
  recommended: Quantization | null,
  hardware: Hardware,
): string {
  if (gpus === 0) {
    const free = Math.trunc(hostFreeBytes(hardware) / MIB);
    return `No GPU was found. On the CPU ${name} needs about ${required} MB of memory, of which ${free} MB are available.`;
  }
  const advice =
    recommended === null
      ? "no quantization of it fits; a part of its layers can stay on the CPU (`gpu_layers`)"
      : `${recommended} fits`;
  return `${name} needs about ${required} MB of GPU memory, and ${available} MB are available; ${advice}.`;
}

/** Where a model of this size can run here, judging only by its memory. */
export type Fit = "gpu" | "cpu" | "no";

export interface FitHere {
  readonly fit: Fit;
  /** The smallest that fits, as `checkCompatibility` recommends it; null: none does. */
  readonly quantization: Quantization | null;
}

/** Whether the model fits a GPU, else this machine's memory, with the quantization to take. */
export function fitHere(model: Sized, hardware: Hardware): FitHere {
  const { recommended } = checkCompatibility(model, USUAL, hardware);
  if (recommended !== null) return { fit: "gpu", quantization: recommended };
  const free = hostFreeBytes(hardware) / MIB;
  const onCpu = quantizations.find((each) => requiredMib(model, each) <= free) ?? null;
  return { fit: onCpu === null ? "no" : "cpu", quantization: onCpu };
}

/** The figure of the device is the fresher one. */
const hostFreeBytes = ({ devices, memoryAvailableBytes }: Hardware): number =>
  devices.find(({ vendor }) => vendor === "cpu")?.memoryFreeBytes ?? memoryAvailableBytes;
