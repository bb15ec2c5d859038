import type { Device, DeviceVendor } from "../core/device.ts";
import type { EngineAvailability } from "../core/engine.ts";

/** Backends of llama.cpp that can use a vendor's devices, the better ones first. */
const vendorBackends: Readonly<Record<DeviceVendor, readonly string[]>> = {
  cpu: ["cpu"],
  nvidia: ["cuda", "vulkan"],
  amd: ["rocm", "hip", "vulkan"],
  intel: ["sycl", "vulkan"],
  apple: ["metal", "mtl"],
};

/** The backend with which an engine that has `backends` would use a device of `vendor`, or null. */
export const backendFor = (backends: readonly string[], vendor: DeviceVendor): string | null =>
  vendorBackends[vendor].find((backend) => backends.includes(backend)) ?? null;

/** Whether an engine can compute on `device`, so that no instance runs on the CPU under a GPU's name. */
export const supportsDevice = (availability: EngineAvailability, device: Device): boolean =>
  availability.available && backendFor(availability.backends, device.vendor) !== null;
