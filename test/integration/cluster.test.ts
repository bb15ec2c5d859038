import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { NodesReport } from "../../src/api/nodes.ts";
import { eventually } from "../support/assistant.ts";
import { chatBody, NodeGroup, postChat, type TestNode } from "../support/nodes.ts";
import { startRedis, type TestRedis } from "../support/redis.ts";

const MODEL = "river";
const SLOTS = "slots = 4";
let redis: TestRedis;
const nodes = new NodeGroup();
/** Has no model of its own: all it serves is elsewhere. */
let front: TestNode;
let left: TestNode;

const member = (name: string, models: Readonly<Record<string, string>>): Promise<TestNode> =>
  nodes.start({
    models,
    server: `[cluster]\nname = "${name}"\n`,
    env: { ASSISTANT_CLUSTER_URL: redis.url },
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
  redis = await startRedis();
  left = await member("left", { [MODEL]: SLOTS });
  [front] = await Promise.all([member("front", {}), member("right", { [MODEL]: SLOTS })]);
  await Promise.all([seen(front, "left", "up"), seen(front, "right", "up"), seen(left, "front", "up")]);
});
afterAll(async () => {
  await nodes.end();
  await redis[Symbol.asyncDispose]();
});

test("machines with one Redis find each other, and any of them serves what another has", async () => {
  const models = (await (await fetch(`${front.url}/v1/models`)).json()) as { data: { id: string }[] };
  expect(models.data.map(({ id }) => id)).toEqual([MODEL]);
  expect(await ask(front.url)).toBe(200);
});

test("a drained machine gets nothing from the others until it is used again", async () => {
  const { stdout } = await front.assistant.run(["node", "drain", "left", "--json"]);
  expect(JSON.parse(stdout)).toEqual({ node: "left", drained: true });
  await seen(front, "left", "drained");
  const ready = await fetch(`${left.url}/v2/health/ready`);
  expect(ready.status).not.toBe(200);

  const before = (await left.status()).requestsServed;
  expect(await Promise.all(Array.from({ length: 8 }, () => ask(front.url)))).toEqual(Array(8).fill(200));
  expect((await left.status()).requestsServed).toBe(before);
  // Who asks it directly is answered.
  expect(await ask(left.url)).toBe(200);

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

test("while Redis is away the machines that know each other go on", async () => {
  await redis.kill();
  expect(await ask(front.url)).toBe(200);
  await redis.start();
  await eventually("the cluster is whole again", async () => {
    const { stdout } = await front.assistant.run(["node", "drain", "right", "--json"]);
    return (JSON.parse(stdout) as { drained?: boolean }).drained;
  });
  await seen(front, "right", "drained");
  const { stdout } = await front.assistant.run(["node", "list", "--json"]);
  expect((JSON.parse(stdout) as NodesReport).cluster).toMatchObject({ name: "front", drained: false });
});
