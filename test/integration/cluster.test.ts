import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { NodesReport } from "../../src/api/nodes.ts";
import { Client } from "../../src/workers/handlers/client.ts";
import { keepRegistered } from "../../src/workers/handlers/registration.ts";
import { serveApp } from "../../src/workers/handlers/server.ts";
import { type HandlerContext, WorkerApp } from "../../src/workers/handlers/worker-app.ts";
import { type CollectedSpan, type FakeCollector, startCollector } from "../fakes/otlp-collector.ts";
import { eventually } from "../support/assistant.ts";
import { chatBody, NodeGroup, postChat, type TestNode } from "../support/nodes.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const MODEL = "river";
/** Of one machine alone. */
const OWN = "brook";
const SLOTS = "slots = 4";
let redis: TestRedis;
let collector: FakeCollector;
const nodes = new NodeGroup();
/** Has no model of its own: all it serves is elsewhere. */
let front: TestNode;
let left: TestNode;
let right: TestNode;

const member = (name: string, models: Readonly<Record<string, string>>): Promise<TestNode> =>
  nodes.start({
    models,
    server: `[cluster]\nname = "${name}"\n`,
    env: {
      ASSISTANT_CLUSTER_URL: redis.url,
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_BSP_SCHEDULE_DELAY: "50",
      OTEL_RESOURCE_ATTRIBUTES: `host.name=${name}`,
    },
  });

/** Waits until a machine sees another one in a state. */
const seen = (from: TestNode, name: string, state: string): Promise<unknown> =>
  eventually(`${name} is ${state}`, async () => {
    const found = (await from.nodes()).find((node) => node.name === name);
    return (found?.state ?? "gone") === state;
  });

const ask = async (url: string): Promise<number> => {
  const response = await postChat(url, chatBody(MODEL, { tokens: 4, decodeDelayMs: 5 }));
  await response.text();
  return response.status;
};

beforeAll(async () => {
  [redis, collector] = await Promise.all([startRedis(), startCollector()]);
  left = await member("left", { [MODEL]: SLOTS, [OWN]: SLOTS });
  [front, right] = await Promise.all([member("front", {}), member("right", { [MODEL]: SLOTS })]);
  await Promise.all([seen(front, "left", "up"), seen(front, "right", "up"), seen(left, "front", "up")]);
});
afterAll(async () => {
  await nodes.end();
  await redis[Symbol.asyncDispose]();
  await collector[Symbol.asyncDispose]();
});

test("machines with one Redis find each other, and any of them serves what another has", async () => {
  const models = (await (await fetch(`${front.url}/v1/models`)).json()) as { data: { id: string }[] };
  expect(models.data.map(({ id }) => id).sort()).toEqual([OWN, MODEL]);
  expect(await ask(front.url)).toBe(200);
});

test("what two machines do for a request is in one trace, which the caller began", async () => {
  const traceId = `${"a".repeat(31)}1`;
  const traceparent = `00-${traceId}-b7ad6b7169203331-01`;
  await (await postChat(front.url, chatBody(MODEL, { tokens: 2 }), { traceparent })).text();
  const spans = await eventually("both have sent their spans", () => {
    const found = collector.spans().filter((span) => span.traceId === traceId);
    return found.filter(({ kind }) => kind === "server").length === 2 && found;
  });
  const hostOf = ({ resource }: CollectedSpan): unknown => resource["host.name"];
  const [http, rpc] = [/^POST \/v1\/chat\/completions$/, /AssistantService\/ForwardRequest/].map((name) =>
    spans.find((span) => span.kind === "server" && name.test(span.name)),
  );
  if (http === undefined || rpc === undefined) throw new Error(JSON.stringify(spans.map(({ name }) => name)));
  expect(http.parentSpanId).toBe("b7ad6b7169203331");
  expect([hostOf(http), hostOf(rpc)]).toEqual(["front", expect.stringMatching(/^(left|right)$/)]);
  expect(rpc.attributes).toMatchObject({ "rpc.system": "grpc", "url.path": "/v1/chat/completions" });
  // The call to the other machine is what its work is a part of.
  const call = spans.find(({ spanId }) => spanId === rpc.parentSpanId);
  expect(call).toMatchObject({ kind: "client", name: `chat ${MODEL}`, parentSpanId: http.spanId });
  expect(spans.some((span) => span.parentSpanId === rpc.spanId && span.name === `chat ${MODEL}`)).toBe(true);
});

test("a drained machine gets nothing from the others until it is used again", async () => {
  const { stdout } = await front.assistant.run(["node", "drain", "left", "--json"]);
  expect(JSON.parse(stdout)).toEqual({ node: "left", drained: true });
  await seen(front, "left", "drained");
  // Each machine hears of it from the store, in no order.
  await eventually("left knows it too", async () => (await fetch(`${left.url}/v2/health/ready`)).status !== 200);

  const before = (await left.status()).requestsServed;
  expect(await Promise.all(Array.from({ length: 8 }, () => ask(front.url)))).toEqual(Array(8).fill(200));
  expect((await left.status()).requestsServed).toBe(before);
  // Who asks it directly is answered by another one, and by none where there is none.
  const hasNone = async (): Promise<boolean> =>
    (await left.status()).instances.every(({ state }) => state === "absent");
  await eventually("what it ran has ended", hasNone);
  expect(await ask(left.url)).toBe(200);
  const alone = await postChat(left.url, chatBody(OWN));
  expect([alone.status, alone.headers.get("retry-after")]).toEqual([503, "10"]);
  expect(await hasNone()).toBe(true);

  const own = await left.assistant.run(["node", "uncordon", "--json"]);
  expect(JSON.parse(own.stdout)).toEqual({ node: "left", drained: false });
  await seen(front, "left", "up");
});

test("tasks are done by a machine that has the model, whichever one took them", async () => {
  const response = await fetch(`${front.url}/api/v1/tasks`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: MODEL, prompt: "Hello" }),
  });
  expect(response.status).toBe(201);
  const { task_id: id } = (await response.json()) as { task_id: string };
  const done = await eventually("the task has ended", async () => {
    const task = (await (await fetch(`${left.url}/api/v1/tasks/${id}`)).json()) as { status: string };
    return ["completed", "failed"].includes(task.status) && task.status;
  });
  expect(done).toBe("completed");
});

/** A machine that does not run the task. */
async function notRunning(id: string): Promise<TestNode> {
  return await eventually(`${id} runs`, async () => {
    const running = await Promise.all(
      [front, left, right].map(async (node) => {
        const queue = await (await fetch(`${node.url}/api/v1/monitor/queue`)).json();
        return { node, isHere: (queue as { processing_tasks: string[] }).processing_tasks.includes(id) };
      }),
    );
    return running.some(({ isHere }) => isHere) && running.find(({ isHere }) => !isHere)?.node;
  });
}

const slow = `Hello [[fake ${JSON.stringify({ tokens: 2_000, decodeDelayMs: 20 })}]]`;
const post = (node: TestNode, path: string, body: object = {}): Promise<Response> =>
  fetch(`${node.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

/** An event stream, read as far as somebody asks. */
async function stream(node: TestNode, path: string): Promise<(event: string) => Promise<string>> {
  const response = await fetch(`${node.url}${path}`);
  if (response.body === null) throw new Error(`no stream: ${response.status}`);
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return async (event) => {
    while (!text.includes(`event: ${event}\n`)) {
      const { done, value } = await reader.read();
      if (done) throw new Error(`the stream ended without ${event}: ${text.slice(-500)}`);
      text += value;
    }
    return text;
  };
}

test("a task is followed live and cancelled through any machine", async () => {
  const { task_id: id } = (await (
    await post(front, "/api/v1/tasks", { model: MODEL, prompt: slow, max_tokens: 2_000 })
  ).json()) as { task_id: string };
  const elsewhere = await notRunning(id);
  const streams = await Promise.all([front, left, right].map((node) => stream(node, `/api/v1/tasks/${id}/stream`)));
  await Promise.all(streams.map((until) => until("text")));
  expect(await (await post(elsewhere, `/api/v1/tasks/${id}/cancel`)).json()).toMatchObject({ status: "cancelled" });
  for (const text of await Promise.all(streams.map((until) => until("end")))) {
    expect(text).toContain('"status":"cancelled"');
    expect(text).not.toContain("event: restart");
  }
});

test("a response of the background is followed live and cancelled through any machine", async () => {
  const order = { model: MODEL, input: slow, background: true, stream: true, max_output_tokens: 2_000 };
  const made = await post(front, "/v1/responses", order);
  const first = new TextDecoder().decode((await made.body?.getReader().read())?.value);
  const id = /"id":"(resp_[^"]+)"/.exec(first)?.[1] ?? "";
  const elsewhere = await notRunning(id);
  const streams = await Promise.all(
    [front, left, right].map((node) => stream(node, `/v1/responses/${id}?stream=true`)),
  );
  await Promise.all(streams.map((until) => until("response.output_text.delta")));
  const seen = (await (await fetch(`${elsewhere.url}/v1/responses/${id}`)).json()) as { status: string };
  expect(seen.status).toBe("in_progress");
  expect(await (await post(elsewhere, `/v1/responses/${id}/cancel`)).json()).toMatchObject({ status: "cancelled" });
  const kept = await (await fetch(`${right.url}/v1/responses/${id}`)).json();
  expect(kept).toMatchObject({ status: "cancelled" });
});

test("a batch is shown and cancelled through any machine", async () => {
  const body = { model: MODEL, messages: [{ role: "user", content: `Hi [[fake {"tokens":2,"decodeDelayMs":30}]]` }] };
  const line = (id: number): string =>
    JSON.stringify({ custom_id: String(id), method: "POST", url: "/v1/chat/completions", body });
  const form = new FormData();
  form.set("purpose", "batch");
  form.set("file", new Blob([Array.from({ length: 2_000 }, (_, id) => line(id)).join("\n")]), "in.jsonl");
  const file = (await (await fetch(`${left.url}/v1/files`, { method: "POST", body: form })).json()) as { id: string };
  const order = { input_file_id: file.id, endpoint: "/v1/chat/completions", completion_window: "24h" };
  const { id } = (await (await post(front, "/v1/batches", order)).json()) as { id: string };
  const elsewhere = await notRunning(id);
  const shown = async () =>
    (await (await fetch(`${elsewhere.url}/v1/batches/${id}`)).json()) as {
      status: string;
      request_counts: { completed: number };
    };
  await eventually("some are answered", async () => (await shown()).request_counts.completed > 0);
  expect(await (await post(elsewhere, `/v1/batches/${id}/cancel`)).json()).toMatchObject({
    status: expect.stringMatching(/^cancell(ing|ed)$/),
  });
  await eventually("it is cancelled", async () => (await shown()).status === "cancelled");
});

test("who watches one machine sees what happens to tasks on all of them", async () => {
  const socket = new WebSocket(`${front.url.replace("http", "ws")}/ws/monitor`);
  const seen: { type: string; data: { task_id?: string } }[] = [];
  socket.onmessage = ({ data }) => void seen.push(JSON.parse(String(data)));
  const has = (type: string, id: string): boolean =>
    seen.some((event) => event.type === type && event.data.task_id === id);
  const submit = async (): Promise<string> => {
    const made = await post(right, "/api/v1/tasks", { model: MODEL, prompt: "Hello", max_tokens: 1 });
    return ((await made.json()) as { task_id: string }).task_id;
  };
  // The others learn that somebody watches a moment after the first event that he is sent.
  const taken: string[] = [];
  await eventually("what another machine takes is seen", async () => {
    taken.push(await submit());
    return taken.some((id) => has("task.queued", id));
  });
  const id = await submit();
  await eventually("its end is seen", () => has("task.completed", id));
  expect(seen.filter((event) => event.data?.task_id === id).map(({ type }) => type)).toEqual(
    expect.arrayContaining(["task.queued", "task.started", "task.completed"]),
  );
  expect(seen.map(({ type }) => type)).not.toContain("dropped");
  socket.close();
});

test("a worker that registers at one machine is a model of the others", async () => {
  const worker = createServer((request, response) => {
    if (request.method === "GET") return void response.writeHead(204).end();
    request.resume().on("end", () => response.end("From the worker."));
  });
  await new Promise<void>((resolve) => void worker.listen(0, "127.0.0.1", resolve));
  const { port } = worker.address() as AddressInfo;
  const registered = await fetch(`${left.url}/v1.0/worker/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "helper", endpoint: `http://127.0.0.1:${port}/chat` }),
  });
  expect(registered.status).toBe(201);
  const text = await eventually("the other machine answers for it", async () => {
    const response = await postChat(front.url, chatBody("helper"));
    return response.ok && (await response.text());
  });
  worker.close();
  expect(text).toContain("From the worker.");
});

test("handlers that register at one machine serve requests of the others, in one part or several", async () => {
  const app = new WorkerApp()
    .capability({ type: "mirror", gpus: 2 }, (request) => ({ out: request.get("in") }))
    .capability({ type: "twice" }, { stream: true }, async (request, _, stream) => {
      for (const _ of [1, 2]) await stream.send({ out: request.get("in") });
    });
  const context = {} as HandlerContext;
  const { server, port } = await serveApp({ app, host: "127.0.0.1", port: 0, context, isReady: () => true });
  const leaving = new AbortController();
  const registration = { apiServer: left.url, headers: {}, replicaId: "far", slots: 2, report: () => {} };
  const capabilities = app.handlers.map(({ capability }) => capability);
  const endpoint = `http://127.0.0.1:${port}`;
  const kept = keepRegistered({ ...registration, endpoint, capabilities }, leaving.signal);
  const client = new Client({ endpoint: front.url });
  const bytes = Buffer.from([0, 255]);
  const ask = () => client.inferCapability({ type: "mirror", gpus: 2 }, { in: [bytes] });
  expect(await eventually("the other machine answers for it", () => ask().catch(() => false as const))).toEqual({
    out: [bytes],
  });
  await expect(client.infer("mirror", { other: [1] })).rejects.toThrow(/status 400.*"in.*is missing/);
  const inputs = [{ name: "in", datatype: "INT32", shape: [1], data: [7] }];
  const parts = await fetch(`${front.url}/infer/stream`, {
    method: "POST",
    headers: { "content-type": "application/json", "x-capability-type": "twice" },
    body: JSON.stringify({ inputs }),
  });
  expect([...(await parts.text()).matchAll(/"data":\[(\d)\]/g)].map(([, element]) => element)).toEqual(["7", "7"]);
  leaving.abort();
  await kept;
  server.close();
});

test("a name that no machine has is refused with those there are", async () => {
  const { exitCode, stderr } = await front.assistant.run(["node", "drain", "nowhere"]);
  expect(exitCode).toBe(4);
  expect(stderr).toContain("front, left, right");
});

test("no request is lost when a machine is killed before it has answered", async () => {
  const asked = Array.from({ length: 16 }, () =>
    postChat(front.url, chatBody(MODEL, { tokens: 3, decodeDelayMs: 20 })).then(async (response) => {
      await response.text();
      return response.status;
    }),
  );
  process.kill((await left.status()).pid, "SIGKILL");
  expect(await Promise.all(asked)).toEqual(Array(16).fill(200));
  await seen(front, "left", "down");
});

test("while Redis is away the machines that know each other go on, and one that starts serves what needs no records", async () => {
  await redis.kill();
  expect(await ask(front.url)).toBe(200);
  const late = await member("late", { [OWN]: SLOTS });
  expect((await postChat(late.url, chatBody(OWN))).status).toBe(200);
  const order = { model: OWN, prompt: "Hello" };
  const refused = await post(late, "/api/v1/tasks", order);
  expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "5"]);
  expect((await late.status()).hints).toContainEqual(expect.stringContaining("cannot be reached"));
  const health = await fetch(`${late.url}/api/v1/monitor/health`);
  expect(health.status).toBe(503);
  expect(await health.json()).toMatchObject({ components: { store: { status: "down" } } });
  await redis.start();
  await eventually("the late one is a member", async () => (await post(late, "/api/v1/tasks", order)).status === 201);
  await seen(front, "late", "up");
  await eventually("the cluster is whole again", async () => {
    const { stdout } = await front.assistant.run(["node", "drain", "right", "--json"]);
    return (JSON.parse(stdout) as { drained?: boolean }).drained;
  });
  await seen(front, "right", "drained");
  const { stdout } = await front.assistant.run(["node", "list", "--json"]);
  expect((JSON.parse(stdout) as NodesReport).cluster).toMatchObject({ name: "front", drained: false });
});
