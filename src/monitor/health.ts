import type { DaemonStatus } from "../api/status.ts";
import type { GpuStats } from "./gpu.ts";

export interface StoreCheck {
  /** Milliseconds that a read took; null: it failed. */
  readonly responseMs: number | null;
  /** Why it failed; null: it did not. */
  readonly message: string | null;
}

export interface Disk {
  readonly totalBytes: number;
  readonly freeBytes: number;
}

export interface HealthFacts {
  readonly status: Pick<DaemonStatus, "version" | "startedAt" | "now" | "state" | "instances" | "nodes" | "providers">;
  readonly store: StoreCheck;
  readonly gpu: GpuStats | null;
  /** Of the data directory; null: it cannot be read. */
  readonly disk: Disk | null;
  readonly memory: { readonly totalBytes: number; readonly availableBytes: number };
}

type ComponentState = "up" | "down" | "degraded";

interface Component {
  readonly status: ComponentState;
  readonly message: string | null;
  readonly response_time_ms: number | null;
}

export interface Health {
  readonly status: "healthy" | "degraded" | "unhealthy";
  readonly version: string;
  readonly uptime_seconds: number;
  readonly timestamp: string;
  readonly components: Readonly<Record<string, Component>>;
  readonly resources: object;
  readonly gpu: object;
}

const GIB = 2 ** 30;

/**
 * Pure. Without its store the daemon is unhealthy; where another part is not up it is degraded. A GPU need not be
 * there.
 */
export function healthOf({ status, store, gpu, disk, memory }: HealthFacts): Health {
  const storeState = component(store.responseMs === null ? "down" : "up", store.message, store.responseMs);
  const counted: Readonly<Record<string, Component>> = {
    store: storeState,
    provider_local: localModels(status.instances),
    ...Object.fromEntries((status.providers ?? []).map((each) => [`provider_${each.name}`, remote(each)])),
    ...Object.fromEntries((status.nodes ?? []).map((each) => [`node_${each.name}`, remote(each)])),
  };
  const isDegraded = status.state !== "running" || Object.values(counted).some((each) => each.status !== "up");
  return {
    status: storeState.status === "down" ? "unhealthy" : isDegraded ? "degraded" : "healthy",
    version: status.version,
    uptime_seconds: round2(Math.max(0, status.now - status.startedAt) / 1000),
    timestamp: new Date(status.now).toISOString(),
    components: {
      // Clients of the original look for this name, whatever the store is.
      redis: storeState,
      ...counted,
      gpu: gpu === null ? component("down", "this machine has no GPU") : component("up", gpu.gpu_info.name),
    },
    resources: {
      disk_usage_percent: disk === null ? null : usedPercent(disk.totalBytes, disk.freeBytes),
      disk_free_gb: disk === null ? null : round2(disk.freeBytes / GIB),
      memory_usage_percent: usedPercent(memory.totalBytes, memory.availableBytes),
      memory_available_gb: round2(memory.availableBytes / GIB),
    },
    gpu:
      gpu === null
        ? { available: false }
        : { name: gpu.gpu_info.name, vram_used_percent: gpu.vram_usage.used_percent, available: true },
  };
}

const component = (status: ComponentState, message: string | null, responseMs: number | null = null): Component => ({
  status,
  message,
  response_time_ms: responseMs,
});

/** An engine that does not start, or has ended, degrades what runs here. */
function localModels(instances: HealthFacts["status"]["instances"]): Component {
  const failed = new Set(instances.filter(({ state }) => state === "failed").map(({ model }) => model));
  return failed.size === 0
    ? component("up", null)
    : component("degraded", `could not be started: ${[...failed].join(", ")}`);
}

/** What is switched off is no failure. */
function remote({ state, lastError }: { readonly state: string; readonly lastError?: string | null }): Component {
  return component(state === "down" ? "down" : "up", lastError ?? (state === "up" ? null : state));
}

const usedPercent = (total: number, free: number): number => (total > 0 ? round2((1 - free / total) * 100) : 0);
const round2 = (value: number): number => Math.round(value * 100) / 100;
