import { hash } from "node:crypto";
import { join } from "node:path";
import { execa } from "execa";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packageRoot } from "../support/assistant.ts";
import { type GpuInstallation, installOnGpu } from "../support/fake-gpu.ts";
import { httpxClient } from "../support/httpx.ts";

const KEY = "sk-of-the-client";

interface Outcome {
  readonly status: number;
  readonly body: unknown;
}
interface Message {
  readonly type: string;
  readonly timestamp: number;
  readonly data?: Readonly<Record<string, unknown>>;
}
interface Seen {
  readonly connected: object;
  readonly protocol: Readonly<Record<string, Message>>;
  readonly tasks: { readonly id: string } & Readonly<Record<string, unknown>>;
  readonly failures: Readonly<Record<string, unknown>>;
  readonly conversations: Readonly<Record<string, unknown>>;
  readonly models: Readonly<Record<string, unknown>>;
  readonly events: readonly Message[];
  readonly stats: Outcome;
  readonly health: Outcome;
  readonly gpu_stats: Message;
  readonly default_types: readonly string[];
  readonly root: Outcome;
  readonly alive: Outcome;
  readonly observability: Outcome;
  readonly no_key: number;
  readonly socket_without_key: number | null;
}

let assistant: GpuInstallation;
let seen: Seen;

beforeAll(async () => {
  const packages = await httpxClient();
  assistant = await installOnGpu({
    usesMib: 1000,
    config: `[[server.api_key_sha256]]\nname = "client"\nsha256 = "${hash("sha256", KEY)}"\nscopes = ["inference", "metrics", "admin"]\n`,
    models: { river: { toml: "exclusive = true" }, vectors: { kind: "embedding" } },
  });
  const url = await assistant.serve();
  const script = join(packageRoot, "test/fixtures/task-client.py");
  const { stdout } = await execa("python3", [script, url, KEY, "river", "vectors"], {
    env: { PYTHONPATH: packages, no_proxy: "*" },
    stdin: "ignore",
  });
  seen = JSON.parse(stdout) as Seen;
});
afterAll(() => assistant?.[Symbol.asyncDispose]());

const ofTask = (id: string): readonly Message[] => seen.events.filter(({ data }) => data?.["task_id"] === id);
const number = expect.any(Number);

test("a task is made once, watched, reported and deleted", () => {
  const { id } = seen.tasks;
  expect(id).toMatch(/^task-[0-9a-f]{16}$/);
  expect(seen.tasks).toMatchObject({
    created: { status: 201, body: { task_id: id, status: "pending", model: "river", idempotency_key: "one" } },
    early_delete: 409,
    queue: { queue_size: 0, processing_task: id },
    live_queue: { data: { queue_size: 0, processing_task: id, recent_logs_count: number } },
    finished: {
      status: "completed",
      result: { finish_reason: "length", usage: { completion_tokens: 30 }, model: "river" },
    },
    same: true,
    report: { metrics: { queue_wait_ms: number, inference_ms: number }, tokens: { completion_tokens: 30 } },
    logs: {
      filtered: 3,
      filters: { limit: 2, level: "info", task_id: id },
      logs: [{ message: "completed" }, { message: "attempt 1 of 3 begins" }],
    },
    removed: 204,
    gone: { status: 404, body: { error: "task_not_found" } },
  });
});

test("each event of a task comes with its data, in order, and progress twice a second at most", () => {
  const { id } = seen.tasks;
  const events = ofTask(id);
  const progress = events.filter(({ type }) => type === "task.progress");
  expect(events.filter((each) => !progress.includes(each)).map(({ type, data }) => ({ type, data }))).toEqual([
    { type: "task.queued", data: { task_id: id, model: "river", priority: 0 } },
    { type: "task.started", data: { task_id: id, model: "river" } },
    { type: "task.completed", data: { task_id: id, model: "river", tokens_used: 35, duration_ms: number } },
  ]);
  const times = progress.map(({ timestamp }) => timestamp);
  const tokens = progress.map(({ data }) => Number(data?.["tokens_generated"]));
  expect(tokens.length).toBeGreaterThan(1);
  expect(tokens).toEqual([...tokens].sort((a, b) => a - b));
  expect(progress[0]?.data?.["partial_text"]).toMatch(/^word0/);
  for (const [index, time] of times.slice(1).entries()) expect(time - (times[index] ?? 0)).toBeGreaterThan(0.49);
});

test("what fails says why", () => {
  expect(seen.failures).toMatchObject({
    event: { data: { model: "river", error: expect.stringMatching(/^invalid_request: /) } },
    task: { status: "failed", error: expect.stringMatching(/^invalid_request: /) },
    no_model: { status: 404, body: { error: "model_not_found", details: { param: "model" } } },
    no_prompt: { status: 400, body: { error: "invalid_request" } },
    unknown: { status: 404 },
  });
});

test("a conversation is kept, a task goes on with it, and it is emptied and deleted", () => {
  expect(seen.conversations).toMatchObject({
    created: {
      status: 201,
      body: {
        conversation_id: expect.stringMatching(/^conv_[0-9a-f]{12}$/),
        model: "river",
        system_prompt: "Be brief.",
        message_count: 1,
        metadata: { user: "ann" },
      },
    },
    added: 201,
    task_model: "river",
    changed: { metadata: { user: "bob" } },
    listed: { total: 1, limit: 1, offset: 0, conversations: [{ message_count: 4 }] },
    messages: [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Hello" },
      { role: "user", content: "Go on" },
      { role: "assistant", content: "word0 word1" },
    ],
    last: [{ role: "assistant" }],
    emptied: 204,
    left: { user: "bob" },
    removed: 204,
    gone: 404,
    no_conversation: 404,
  });
});

test("models are listed, loaded and unloaded, which is reported, and embed texts", () => {
  expect(seen.models).toMatchObject({
    list: { total: 2 },
    one: { name: "river", provider: "local", context_window: 2048 },
    nobody: 404,
    loaded: { model_name: "vectors", loaded: true, vram_used_mb: number },
    unloaded: { model_name: "vectors", unloaded: true, vram_freed_mb: number },
    events: [
      { type: "model.loaded", data: { model_name: "vectors", vram_used_mb: number } },
      { type: "model.unloaded", data: { model_name: "vectors", vram_freed_mb: number } },
    ],
    lengths: [1, 1],
    dimensions: 8,
    alike: { similarity: 1, text1_preview: "one" },
    not_embedding: 400,
  });
});

test("health, statistics and GPU are as the tasks make them, and the task that has the GPU for itself is named", () => {
  expect(seen.health).toMatchObject({
    status: 200,
    body: {
      status: "healthy",
      components: { redis: { status: "up", response_time_ms: number }, gpu: { status: "up" } },
      resources: { disk_free_gb: number, memory_usage_percent: number },
      gpu: { available: true, vram_used_percent: number },
    },
  });
  expect(seen.stats.body).toMatchObject({ tasks_completed: 2, tasks_failed: 1, tokens_used: number });
  const gpu = {
    gpu_info: { name: "NVIDIA H100 80GB HBM3", index: 0, driver_version: "570.86.15", cuda_version: "12.8" },
    vram_usage: { total_mb: 81559, used_mb: number, free_mb: number, used_percent: number, reserved_mb: 5102 },
  };
  expect(seen.tasks["held"]).toMatchObject({ ...gpu, is_locked: true, current_task_id: seen.tasks.id });
  expect(seen.gpu_stats.data).toMatchObject(gpu);
  expect(seen.root.body).toMatchObject({ service: "assistant", status: "running" });
  expect(seen.observability.body).toEqual({ enabled: false, platform: null, host: null });
  expect(seen.alive.body).toMatchObject({ status: "ok" });
});

test("the WebSocket answers as its protocol says, and asks for a key", () => {
  expect(seen.connected).toMatchObject({ type: "connected", available_events: expect.arrayContaining(["gpu_stats"]) });
  expect(seen.protocol).toMatchObject({
    subscribed: { events: ["task.*", "model.*", "log"] },
    unsubscribed: { events: ["log"] },
    filter: { task_id: null },
    pong: { timestamp: number },
    unknown: { message: expect.stringContaining('found "dance"') },
    no_json: { message: expect.stringContaining("JSON object") },
    no_event: { message: expect.stringContaining('found "weather"') },
  });
  expect(seen.events.map(({ type }) => type)).not.toContain("log");
  expect(seen.default_types).toEqual(expect.arrayContaining(["gpu_stats", "log", "task.queued"]));
  expect([seen.no_key, seen.socket_without_key]).toEqual([401, 401]);
});
