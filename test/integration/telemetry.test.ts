import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type CollectedSpan, type FakeCollector, startCollector } from "../fakes/otlp-collector.ts";
import { type FakeProvider, startProvider } from "../fakes/provider.ts";
import { eventually, packageRoot } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes } from "../support/fake-installation.ts";
import { startReceiver, type WebhookReceiver } from "../support/webhook-receiver.ts";

let collector: FakeCollector;
let langfuse: FakeCollector;
let cloud: FakeProvider;
let receiver: WebhookReceiver;
let assistant: FakeInstallation;
let url: string;

beforeAll(async () => {
  [collector, langfuse, cloud, receiver] = await Promise.all([
    startCollector(),
    startCollector(),
    startProvider(),
    startReceiver(),
  ]);
  assistant = await installFakes({
    models: {
      river: { slots: 2 },
      broken: { knobs: { exitAtStart: 1 }, toml: 'fallbacks = ["river"]' },
    },
    config: `[tasks]\nwebhook_allow_private = true\n[[providers]]\nname = "cloud"\nbase_url = "${cloud.url}"\n`,
    env: {
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: "x-token=a%20secret",
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_EXPORTER_OTLP_TIMEOUT: "500",
      LANGFUSE_PUBLIC_KEY: "pk-lf-1",
      LANGFUSE_SECRET_KEY: "sk-lf-2",
      LANGFUSE_BASE_URL: langfuse.url,
    },
  });
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await Promise.all([collector, langfuse, cloud, receiver].map((each) => each?.[Symbol.asyncDispose]()));
});

const PARENT = "b7ad6b7169203331";
let traces = 0;
const newTrace = (): string => (++traces).toString(16).padStart(32, "a");
const traceparent = (traceId: string): { traceparent: string } => ({ traceparent: `00-${traceId}-${PARENT}-01` });

/** The spans of a trace, once the one that is the last to end has come. */
const traceOf = (
  traceId: string,
  isLast: (span: CollectedSpan) => boolean,
  from: FakeCollector = collector,
): Promise<readonly CollectedSpan[]> =>
  eventually(`the trace ${traceId} is there`, () => {
    const spans = from.spans().filter((span) => span.traceId === traceId);
    return Promise.resolve(spans.some(isLast) ? spans : undefined);
  });
const isServer = ({ kind }: CollectedSpan): boolean => kind === "server";
const post = (path: string, body: object, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
  });

test("a request's trace has the server's span, the model call and its phases, in the caller's trace", async () => {
  const traceId = newTrace();
  const answer = await ask(url, "river", `tell ${fake({ tokens: 5 })}`, {
    stream: true,
    headers: traceparent(traceId),
  });
  expect(answer.status).toBe(200);
  const spans = await traceOf(traceId, isServer);
  const server = spans.find(isServer);
  const call = spans.find(({ kind }) => kind === "client");
  expect(server).toMatchObject({
    name: "POST /v1/chat/completions",
    parentSpanId: PARENT,
    error: null,
    attributes: { "http.response.status_code": 200, "http.route": "/v1/chat/completions" },
    resource: { "service.name": "assistant" },
  });
  expect(call).toMatchObject({
    name: "chat river",
    parentSpanId: server?.spanId,
    attributes: {
      "gen_ai.operation.name": "chat",
      "gen_ai.provider.name": "llama-server",
      "gen_ai.request.model": "river",
      "gen_ai.response.model": "river",
      "gen_ai.response.finish_reasons": ["stop"],
      "gen_ai.usage.output_tokens": 5,
      "assistant.target": "river@cpu",
    },
  });
  const phases = spans.filter(({ parentSpanId }) => parentSpanId === call?.spanId);
  expect(phases.map(({ name }) => name).sort()).toEqual(["decode", "load", "prefill", "queue"]);
  for (const { startedAt, endedAt } of phases) {
    expect(startedAt).toBeGreaterThanOrEqual(call?.startedAt ?? 0);
    expect(endedAt).toBeLessThanOrEqual(call?.endedAt ?? 0);
  }
  expect(collector.exports[0]).toMatchObject({ path: "/v1/traces", headers: { "x-token": "a secret" } });
  expect(JSON.stringify(spans)).not.toContain("tell");
});

test("a fallback is a second call beside the one that failed", async () => {
  const traceId = newTrace();
  expect((await ask(url, "broken", "hello", { headers: traceparent(traceId) })).status).toBe(200);
  const calls = (await traceOf(traceId, isServer)).filter(({ kind }) => kind === "client");
  expect(calls.map(({ name, error, attributes }) => [name, error, attributes["error.type"]])).toEqual([
    ["chat broken", "model_failed", "model_failed"],
    ["chat river", null, undefined],
  ]);
  expect(calls[1]?.attributes["assistant.fallback_for"]).toBe("broken");
});

test("a provider is asked as a part of the trace", async () => {
  const traceId = newTrace();
  const headers = { ...traceparent(traceId), tracestate: "vendor=1" };
  expect((await post("/v1/chat/completions", { model: "cloud/large", messages: [] }, headers)).status).toBe(200);
  const call = (await traceOf(traceId, isServer)).find(({ kind }) => kind === "client");
  expect(call?.attributes).toMatchObject({ "gen_ai.provider.name": "cloud", "server.address": "127.0.0.1" });
  expect(cloud.to("/chat/completions").at(-1)?.headers).toMatchObject({
    traceparent: `00-${traceId}-${call?.spanId}-01`,
    tracestate: "vendor=1",
  });
});

test("an error names the trace, and the server's span the error", async () => {
  const traceId = newTrace();
  const answer = await post("/api/v1/tasks", { model: "nobody", prompt: "x" }, traceparent(traceId));
  expect(await answer.json()).toMatchObject({ error: "model_not_found", trace_id: traceId });
  expect((await traceOf(traceId, isServer)).find(isServer)).toMatchObject({
    name: "POST /api/v1/tasks",
    attributes: { "http.response.status_code": 404 },
  });
});

test("a task, its model call and its webhook are in the trace of the request that made it; Langfuse has a generation", async () => {
  const made = await post("/api/v1/tasks", { model: "river", prompt: "tell me", webhook_url: `${receiver.url}/hook` });
  const { task_id: id, trace_id: traceId } = (await made.json()) as { task_id: string; trace_id: string };
  expect(traceId).toMatch(/^[0-9a-f]{32}$/);
  const spans = await traceOf(traceId, ({ name }) => name === "POST webhook");
  const byName = new Map(spans.map((span) => [span.name, span]));
  const task = byName.get("task_execution");
  expect(task).toMatchObject({
    parentSpanId: byName.get("POST /api/v1/tasks")?.spanId,
    attributes: { "assistant.task.id": id, "assistant.task.attempt": 1 },
  });
  expect(byName.get("chat river")?.parentSpanId).toBe(task?.spanId);
  const sent = receiver.received.at(-1)?.headers["traceparent"];
  expect(sent).toBe(`00-${traceId}-${byName.get("POST webhook")?.spanId}-01`);

  const shown = await traceOf(traceId, ({ name }) => name === "task_execution", langfuse);
  const generation = shown.find(({ name }) => name === "chat river");
  expect(shown.map(({ name }) => name).sort()).toEqual(["chat river", "task_execution"]);
  expect(generation?.attributes).toMatchObject({
    "langfuse.observation.type": "generation",
    "langfuse.observation.model.name": "river",
  });
  expect(shown.find(({ name }) => name === "task_execution")?.attributes).toMatchObject({
    "langfuse.trace.name": "task_execution",
    "langfuse.trace.metadata.task_id": id,
    "langfuse.trace.metadata.model": "river",
  });
  expect(langfuse.exports[0]).toMatchObject({
    path: "/api/public/otel/v1/traces",
    headers: { authorization: `Basic ${Buffer.from("pk-lf-1:sk-lf-2").toString("base64")}` },
  });
});

test("every metric of the dashboard and of the alerts is there", async () => {
  const scraped = await (await fetch(`${url}/metrics`)).text();
  const known = new Set([...scraped.matchAll(/^# TYPE (\w+) /gm)].map(([, name]) => name));
  for (const file of ["grafana/assistant.json", "prometheus/alerts.yml"]) {
    const text = await readFile(join(packageRoot, "templates", file), "utf8");
    const used = [...text.matchAll(/\b(?:assistant|gen_ai_server|process|nodejs)_[a-z0-9_]+(?=[^\w"]|\\")/g)].map(
      ([name]) => name.replace(/_bucket$/, ""),
    );
    expect(used.length).toBeGreaterThan(5);
    expect(used.filter((name) => !known.has(name))).toEqual([]);
  }
  for (const metric of [
    "gen_ai_server_time_per_output_token_seconds_count",
    "assistant_tasks_total",
    "assistant_webhook_attempts_total",
  ])
    expect(scraped).toMatch(new RegExp(`^${metric}\\{.*\\} [1-9]`, "m"));
});

test("a collector that is dead, or never answers, costs requests nothing; the log has a line, and the next when it is back", async () => {
  const lines = async (message: string): Promise<number> =>
    (await assistant.daemonLog())
      .split("\n")
      .filter((line) => line.includes(message) && line.includes(new URL(collector.url).host)).length;
  for (const [round, state] of (["dead", "hanging"] as const).entries()) {
    await Promise.all([collector.become(state), langfuse.become(state)]);
    const answers = await Promise.all(Array.from({ length: 20 }, () => ask(url, "river", "still there?")));
    expect(answers.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
    await eventually(
      `the collector is known to be ${state}`,
      async () => (await lines("traces are lost")) === round + 1,
    );
    // More of the same is not said again.
    expect((await ask(url, "river", "and now?")).status).toBe(200);
    await Promise.all([collector.become("up"), langfuse.become("up")]);
    const traceId = newTrace();
    await eventually("it gets traces again", async () => {
      await ask(url, "river", "welcome back", { headers: traceparent(traceId) });
      return collector.spans().some((span) => span.traceId === traceId);
    });
    await eventually(
      "that is in the log",
      async () => (await lines("the collector accepts traces again")) === round + 1,
    );
    expect(await lines("traces are lost")).toBe(round + 1);
  }
});
