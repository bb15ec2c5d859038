import { expect, test } from "vitest";
import type { DaemonStatus } from "../../../src/api/status.ts";
import { Elsewhere } from "../../../src/monitor/elsewhere.ts";
import { matches } from "../../../src/monitor/events.ts";
import { type HealthFacts, healthOf } from "../../../src/monitor/health.ts";
import { daemonLine, type LogLine, RecentLogs } from "../../../src/monitor/recent-logs.ts";
import { tracingFacts } from "../../../src/monitor/tracing-facts.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { emptyStatus } from "../../support/gateway.ts";
import { testMonitor } from "../../support/monitor.ts";

const task = { id: "task-1", tenant: "ann" };
const line = (more: Partial<LogLine> = {}): LogLine => ({
  ...{ at: 1, level: "info", message: "queued", part: null, task: null },
  ...more,
});

test.each([
  ["*", "task.queued", true],
  ["task.queued", "task.queued", true],
  ["task.*", "task.queued", true],
  ["task.*", "tasks", false],
  ["task", "task.queued", false],
  ["gpu_stats", "log", false],
])("%s means %s: %s", (pattern, type, expected) => {
  expect(matches(pattern, type)).toBe(expected);
});

test("what a task says is for its owner, and others learn that it happened", () => {
  const monitor = testMonitor();
  const seen: Record<string, string[]> = { ann: [], bob: [], all: [] };
  for (const viewer of ["ann", "bob", null])
    monitor.watch(viewer, ({ text }) => void seen[viewer ?? "all"]?.push(JSON.parse(text).data));
  const forOthers = { task_id: task.id, error: "engine_lost" };
  monitor.tell({ type: "task.failed", data: { ...forOthers, error: "engine_lost: why" }, task, forOthers });
  monitor.log(line({ task }));
  expect(seen).toEqual({
    ann: [
      { task_id: task.id, error: "engine_lost: why" },
      { level: "info", message: "queued", task_id: task.id },
    ],
    bob: [forOthers],
    all: seen["ann"],
  });
  const all = { level: null, taskId: null, limit: 10 };
  expect([monitor.logs(all, "bob").matching, monitor.logs(all, "ann").matching]).toEqual([0, 1]);
});

test("events of tasks reach who watches on another daemon; of those that wait too long he learns how many there were", async () => {
  const listeners = new Map<string, Set<(message: string | null) => void>>();
  let gate = Promise.resolve();
  const elsewhere = (id: string): Elsewhere =>
    new Elsewhere({
      clock: new FakeClock(),
      connection: {
        id,
        channel: (name) => name,
        async publish(channel, message) {
          await gate;
          for (const listener of listeners.get(channel) ?? []) listener(message);
          return 1;
        },
        subscribe(channel, listener) {
          const known = listeners.get(channel) ?? new Set();
          listeners.set(channel, known.add(listener));
          return { [Symbol.dispose]: () => void known.delete(listener) };
        },
      },
    });
  const [here, there] = [testMonitor({ elsewhere: elsewhere("a") }), testMonitor({ elsewhere: elsewhere("b") })];
  const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  const seen: string[] = [];
  const lost: (number | null)[] = [];
  const watching = there.watch(
    "ann",
    ({ text }) => seen.push(text),
    (count) => lost.push(count),
  );
  await settle();
  expect([here.isWatched, there.isWatched]).toEqual([true, true]);
  const opened = Promise.withResolvers<void>();
  gate = opened.promise;
  here.tell({ type: "model.loaded", data: {}, task: null });
  here.tell({ type: "task.queued", data: {}, task: { id: "task-2", tenant: "bob" }, forOthers: null });
  for (let count = 0; count < 1_200; count++) here.tell({ type: "task.queued", data: { count }, task });
  opened.resolve();
  await settle();
  expect([seen.length, lost]).toEqual([1_000, [200]]);
  expect(JSON.parse(seen.at(-1) ?? "")).toMatchObject({ type: "task.queued", data: { count: 999 } });
  watching[Symbol.dispose]();
  expect(there.isWatched).toBe(false);
});

test("recent lines are bounded, and found by level and task, newest first", () => {
  const logs = new RecentLogs();
  for (let at = 0; at < 1_500; at++) logs.add(line({ at, level: at % 2 === 0 ? "info" : "error" }));
  logs.add(line({ at: 2_000, task, message: "x".repeat(5_000) }));
  expect(logs.count).toBe(1_000);
  const { lines, matching } = logs.list({ level: "error", taskId: null, limit: 2 }, null);
  expect({ times: lines.map(({ at }) => at), matching }).toEqual({ times: [1_499, 1_497], matching: 500 });
  const [own] = logs.list({ level: null, taskId: task.id, limit: 5 }, null).lines;
  expect(own?.message.length).toBe(1_000);
});

test("a line of the daemon's log is read without what only programs need", () => {
  const json = '{"level":40,"time":5,"part":"fleet","instance":"a@cpu","err":{"message":"no"},"msg":"it ended"}\n';
  expect(daemonLine(json)).toEqual({ at: 5, level: "warning", message: "it ended: no", part: "fleet", task: null });
});

const gpu: DaemonStatus["devices"][number] = {
  ...{ id: "cuda:1", vendor: "nvidia", name: "H100", memoryTotalBytes: 80 * 2 ** 30, memoryFreeBytes: 60 * 2 ** 30 },
  ...{ utilizationPercent: 5, temperatureCelsius: 40, reservedBytes: 2 ** 30, exclusiveRequest: "req_1" },
};

test("GPUs are read every 2 s while somebody watches, and asked for every 5 s at most", async () => {
  const clock = new FakeClock();
  let reads = 0;
  const status = async () => {
    reads += 1;
    return { ...emptyStatus, devices: [gpu] };
  };
  const taskOf = (id: string) => (id === "req_1" ? task.id : null);
  const gpuFacts = async () => ({ cudaVersion: "12.8", taskOf });
  const monitor = testMonitor({ clock, status, gpuFacts });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  clock.advance(10_000);
  expect(reads).toBe(0);
  const seen: string[] = [];
  const watching = monitor.watch(null, ({ type }) => void seen.push(type));
  for (let second = 0; second < 5; second++) {
    clock.advance(1_000);
    await settled();
  }
  expect([reads, seen]).toEqual([2, ["gpu_stats", "gpu_stats"]]);
  watching[Symbol.dispose]();
  clock.advance(10_000);
  await settled();
  expect([reads, clock.timers.size]).toEqual([2, 0]);
  await monitor.gpu(null);
  clock.advance(5_000);
  expect(await monitor.gpu(1)).toMatchObject({
    gpu_info: { index: 1, cuda_version: "12.8" },
    vram_usage: { total_mb: 81_920, used_mb: 20_480, used_percent: 25, reserved_mb: 1_024 },
    is_locked: true,
    current_task_id: task.id,
  });
  expect(reads).toBe(3);
  clock.advance(1);
  await expect(monitor.gpu(0)).rejects.toMatchObject({ code: "no_gpu", status: 503 });
  expect(reads).toBe(4);
});

test("traces go to Langfuse, else to a collector, whose address is shown without what is secret in it", () => {
  const otlp = { url: "http://ann:secret@collector:4318/v1/traces", headers: {} };
  const langfuse = { baseUrl: "https://cloud.langfuse.com", publicKey: "a", secretKey: "b" };
  expect(tracingFacts({ langfuse: null, otlp })).toEqual({
    ...{ enabled: true, platform: "opentelemetry", host: "http://collector:4318" },
  });
  expect(tracingFacts({ langfuse, otlp })).toMatchObject({ platform: "langfuse", host: "https://cloud.langfuse.com" });
  expect(tracingFacts({ langfuse: null, otlp: null })).toEqual({ enabled: false, platform: null, host: null });
});

const facts: HealthFacts = {
  status: { ...emptyStatus, now: 61_000 },
  store: { responseMs: 1, message: null },
  gpu: null,
  disk: { totalBytes: 4 * 2 ** 30, freeBytes: 2 ** 30 },
  memory: { totalBytes: 10 * 2 ** 30, availableBytes: 2 ** 30 },
};
const node = { name: "north", state: "down", lastError: "refused" } as NonNullable<DaemonStatus["nodes"]>[number];
const provider = { name: "cloud", state: "disabled", lastError: null } as NonNullable<
  DaemonStatus["providers"]
>[number];
const instance = { model: "river", state: "failed" } as DaemonStatus["instances"][number];

test("all is well without a GPU", () => {
  expect(healthOf({ ...facts, status: { ...facts.status, providers: [provider] } })).toMatchObject({
    status: "healthy",
    uptime_seconds: 61,
    components: {
      redis: { status: "up", response_time_ms: 1 },
      provider_cloud: { status: "up" },
      gpu: { status: "down" },
    },
    resources: { disk_usage_percent: 75, disk_free_gb: 1, memory_usage_percent: 90, memory_available_gb: 1 },
    gpu: { available: false },
  });
});

test.each([
  ["unhealthy", { store: { responseMs: null, message: "gone" } }, { store: { status: "down", message: "gone" } }],
  ["degraded", { status: { ...facts.status, nodes: [node] } }, { node_north: { status: "down", message: "refused" } }],
  ["degraded", { status: { ...facts.status, instances: [instance] } }, { provider_local: { status: "degraded" } }],
  ["degraded", { status: { ...facts.status, state: "stopping" as const } }, {}],
])("it is %s with %j", (status, more, components) => {
  expect(healthOf({ ...facts, ...more })).toMatchObject({ status, components });
});
