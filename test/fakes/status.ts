import type { DaemonStatus, DeviceStatus, InstanceStatus, ModelStatus } from "../../src/api/status.ts";

/** A fixed moment, so that views of it never change. */
export const NOW = Date.UTC(2026, 2, 1, 12, 0, 0);

export const fakeInstance = (fields: Partial<InstanceStatus> = {}): InstanceStatus => ({
  id: "smollm2@cpu",
  model: "smollm2",
  device: "cpu",
  engine: "llama-server",
  state: "ready",
  pid: 4242,
  endpoint: "/run/assistant/1.sock",
  slots: 4,
  contextTokens: 4096,
  threads: 2,
  startedAt: NOW - 65_000,
  readyAt: NOW - 63_000,
  attempts: 0,
  retryAt: null,
  lastDeath: null,
  memoryBytes: 412 * 1024 ** 2,
  estimatedMemoryBytes: 430 * 1024 ** 2,
  logFile: "/var/log/assistant/smollm2@cpu.log",
  inFlight: 0,
  load: 0,
  decodeTokensPerSecond: null,
  prefillTokensPerSecond: null,
  requestsServed: 12,
  lastUsedAt: NOW - 5_000,
  idleStopAt: NOW + 300_000,
  pinned: false,
  ...fields,
});

export const failedInstance = (fields: Partial<InstanceStatus> = {}): InstanceStatus =>
  fakeInstance({
    id: "big@cuda:0",
    model: "big",
    device: "cuda:0",
    state: "failed",
    pid: null,
    readyAt: null,
    attempts: 3,
    retryAt: NOW + 20_000,
    lastDeath: {
      at: NOW - 20_000,
      cause: "exit",
      message: "exit code 1: cudaMalloc failed: out of memory.",
      exitCode: 1,
      signal: null,
    },
    memoryBytes: null,
    ...fields,
  });

export const fakeModel = (fields: Partial<ModelStatus> = {}): ModelStatus => ({
  name: "smollm2",
  aliases: ["default"],
  kind: "chat",
  engine: "auto",
  queued: 0,
  instances: 1,
  pinned: false,
  error: null,
  ...fields,
});

export const fakeDevice = (fields: Partial<DeviceStatus> = {}): DeviceStatus => ({
  id: "cpu",
  vendor: "cpu",
  name: "Some CPU with 2 cores",
  memoryTotalBytes: 16 * 1024 ** 3,
  memoryFreeBytes: 12 * 1024 ** 3,
  utilizationPercent: 37,
  temperatureCelsius: null,
  ...fields,
});

export const fakeStatus = (fields: Partial<DaemonStatus> = {}): DaemonStatus => ({
  version: "0.1.0",
  pid: 4000,
  startedAt: NOW - 7_500_000,
  now: NOW,
  state: "running",
  url: "http://127.0.0.1:8080",
  configFile: "/etc/assistant/config.toml",
  dataDir: "/var/lib/assistant",
  logFile: "/var/log/assistant/current.log",
  rssBytes: 90 * 1024 ** 2,
  requestsServed: 120,
  queued: 0,
  models: [fakeModel()],
  instances: [fakeInstance()],
  devices: [fakeDevice()],
  notices: [],
  hints: [],
  ...fields,
});

/** A machine with `count` GPUs and one instance of a model on each. */
export const manyInstances = (count: number): DaemonStatus =>
  fakeStatus({
    models: [fakeModel({ name: "qwen2.5-coder-32b-instruct-q4_k_m", queued: 3, instances: count })],
    instances: Array.from({ length: count }, (_, index) =>
      fakeInstance({
        id: `qwen2.5-coder-32b-instruct-q4_k_m@cuda:${index}`,
        model: "qwen2.5-coder-32b-instruct-q4_k_m",
        device: `cuda:${index}`,
        pid: 5000 + index,
        inFlight: index % 5,
        load: (index % 5) / 4,
        decodeTokensPerSecond: index * 17.4,
        prefillTokensPerSecond: index * 812,
        memoryBytes: 21.5 * 1024 ** 3,
      }),
    ),
    devices: Array.from({ length: count }, (_, index) =>
      fakeDevice({
        id: `cuda:${index}`,
        vendor: "nvidia",
        name: "NVIDIA H100 80GB HBM3",
        memoryTotalBytes: 80 * 1024 ** 3,
        memoryFreeBytes: 50 * 1024 ** 3,
        temperatureCelsius: 61,
      }),
    ),
  });
