import type { Device, Hardware } from "../core/device.ts";
import { probeAmd } from "./amd.ts";
import { type HostFacts, type HostMemory, hostFacts, hostMemory } from "./host.ts";
import { type Probed, probeNvidia } from "./nvidia.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** A driver that has to wake its GPUs may take seconds; one that hangs must not prevent the daemon's start. */
const PROBE_TIMEOUT_MS = 5_000;
const REFRESH_TIMEOUT_MS = 2_000;

/**
 * Detects the devices of this machine: GPUs with their vendors' tools on the PATH of `env`, limited by the user's own
 * `CUDA_VISIBLE_DEVICES` or `HIP_VISIBLE_DEVICES`, and always the CPU, last. Never rejects: what cannot be read becomes
 * a sentence in `problems`.
 */
export async function probeHardware(env: Environment): Promise<Hardware> {
  const [host, nvidia, amd] = await Promise.all([
    hostFacts(),
    probeNvidia(env, PROBE_TIMEOUT_MS),
    probeAmd(env, PROBE_TIMEOUT_MS),
  ]);
  const gpus = [...withHostMemory(nvidia, host.memory), ...amd.devices, ...appleDevices(host)];
  return {
    devices: [...gpus, cpuDevice(host, gpus)],
    cpu: host.cpu,
    memoryTotalBytes: host.memory.totalBytes,
    memoryAvailableBytes: host.memory.availableBytes,
    problems: [...nvidia.problems, ...amd.problems],
  };
}

/**
 * Current free memory, utilisation and temperature of `devices`; a device that does not respond keeps its last values.
 * Runs only the tools of present vendors (one short process each), so a live view may call it every two seconds.
 */
export async function refreshDevices(devices: readonly Device[], env: Environment): Promise<readonly Device[]> {
  const has = (vendor: Device["vendor"]): boolean => devices.some((device) => device.vendor === vendor);
  const none: Probed = { devices: [], problems: [] };
  const [memory, nvidia, amd] = await Promise.all([
    hostMemory(),
    has("nvidia") ? probeNvidia(env, REFRESH_TIMEOUT_MS) : none,
    has("amd") ? probeAmd(env, REFRESH_TIMEOUT_MS) : none,
  ]);
  const fresh = new Map([...withHostMemory(nvidia, memory), ...amd.devices].map((device) => [device.id, device]));
  return devices.map((device) => {
    if (device.vendor === "cpu" || device.vendor === "apple")
      return { ...device, memoryFreeBytes: Math.min(device.memoryTotalBytes, memory.availableBytes) };
    return fresh.get(device.id) ?? device;
  });
}

/** A GPU that shares the host's memory has no separate figure. */
const withHostMemory = (probed: Probed, memory: HostMemory): Device[] =>
  probed.devices.map((device) =>
    device.memoryTotalBytes > 0
      ? device
      : { ...device, memoryTotalBytes: memory.totalBytes, memoryFreeBytes: memory.availableBytes },
  );

/** Metal withholds about a quarter of a large memory, and a third of a small one, from GPU programs. */
function appleDevices({ cpu, memory }: HostFacts): Device[] {
  if (process.platform !== "darwin" || process.arch !== "arm64") return [];
  const memoryTotalBytes = Math.floor(memory.totalBytes * (memory.totalBytes > 36 * 2 ** 30 ? 3 / 4 : 2 / 3));
  const memoryFreeBytes = Math.min(memoryTotalBytes, memory.availableBytes);
  return [
    {
      id: "metal:0",
      vendor: "apple",
      name: cpu.model,
      memoryTotalBytes,
      memoryFreeBytes,
      utilizationPercent: null,
      temperatureCelsius: null,
      env: {},
    },
  ];
}

/** An engine on the CPU must not use memory of a GPU assigned to another instance. */
function cpuDevice({ cpu, memory }: HostFacts, gpus: readonly Device[]): Device {
  const has = (vendor: Device["vendor"]): boolean => gpus.some((device) => device.vendor === vendor);
  const env = {
    ...(has("nvidia") ? { CUDA_VISIBLE_DEVICES: "-1" } : {}),
    ...(has("amd") ? { HIP_VISIBLE_DEVICES: "-1" } : {}),
  };
  return {
    id: "cpu",
    vendor: "cpu",
    name: cpu.model,
    memoryTotalBytes: memory.totalBytes,
    memoryFreeBytes: memory.availableBytes,
    utilizationPercent: null,
    temperatureCelsius: null,
    env,
  };
}
