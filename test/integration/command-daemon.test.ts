import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually, installAssistant, readyInstances, type TestAssistant } from "../support/assistant.ts";
import { openAiServer, recorded } from "../support/openai-server.ts";

let assistant: TestAssistant;
let url: string;
let folder: string;
const records = (name: string): string => join(folder, `${name}.jsonl`);

/** A model file whose program is the fake server. */
const toml = (name: string, section: string, args: readonly string[] = [], command = ""): string =>
  `[${section}]\nmodel_name = "${name}"\nengine = "command"\nthreads = 1\n[command]\nrun = ${JSON.stringify(
    openAiServer("--port", "{port}", "--record", records(name), ...args),
  )}\n${command}\n`;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "command-"));
  assistant = await installAssistant({
    scheduler: "thread_budget = 16",
    models: {
      foreign: toml("foreign", "chat", [], 'operations = ["chat"]\nmemory_mib = 64'),
      named: toml("named", "chat", ["--served", "org/model"], 'served_model = "org/model"'),
      judge: toml("judge", "rerank"),
      mortal: toml("mortal", "chat"),
      painter: toml("painter", "image"),
    },
  });
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true, maxRetries: 3 });
});

let asked: string[];
beforeEach(() => {
  asked = [];
});

async function post(path: string, body: object): Promise<{ status: number; text: string; json: unknown }> {
  const written = JSON.stringify(body);
  asked.push(written);
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}${path}`, { method: "POST", headers, body: written });
  const text = await answer.text();
  return { status: answer.status, text, json: text.startsWith("{") ? JSON.parse(text) : null };
}
const messages = [{ role: "user", content: "Hi" }];

test("a request with fields that only the program knows reaches it byte for byte, and its answer the client", async () => {
  const body = {
    ...{ model: "foreign", messages, temperature: 2.5, best_of: 3, guided_json: { type: "object" } },
    ...{ modalities: ["text", "audio"], audio: { voice: "x" }, web_search_options: {}, logprobs: 4, n: 400 },
    response_format: { type: "json_schema", json_schema: { schema: { multipleOf: 3 } } },
  };
  const { status, json } = await post("/v1/chat/completions", body);
  expect([status, json]).toMatchObject([200, { choices: [{ message: { content: "Hello there" } }] }]);
  const sent = await recorded(records("foreign"));
  expect(sent.at(-1)).toMatchObject({ path: "/v1/chat/completions", body: asked[0] });
  // A model of llama.cpp's engines would refuse it, and what nests too deeply is refused for every program.
  let deep: unknown = 1;
  for (let depth = 0; depth < 80; depth++) deep = [deep];
  expect((await post("/v1/chat/completions", { model: "foreign", messages, deep })).status).toBe(400);
});

test("a stream passes as it is, and its usage is counted", async () => {
  const body = { model: "foreign", messages, stream: true, stream_options: { include_usage: true } };
  const { text } = await post("/v1/chat/completions", body);
  expect(text).toMatch(/^data: \{"id":"chat-1".*\n\n[\s\S]*data: \[DONE\]\n\n$/);
  // The line is written after the answer has gone out.
  const line = await eventually("the request is in the log", async () =>
    (await assistant.daemonLog()).split("\n").find((each) => each.includes('"stream":true')),
  );
  expect(JSON.parse(line)).toMatchObject({ promptTokens: 3, completionTokens: 2, finish: "stop" });
});

test("an operation that the program does not answer is refused, saying what it answers", async () => {
  const { status, json } = await post("/v1/completions", { model: "foreign", prompt: "Hi" });
  expect([status, json]).toMatchObject([
    400,
    { error: { code: "wrong_model_kind", message: expect.stringMatching(/"foreign".*it answers chat/) } },
  ]);
});

test("the name that the program expects replaces the client's, and nothing else does", async () => {
  expect(await post("/v1/chat/completions", { seed: 1, model: "named", messages })).toMatchObject({ status: 200 });
  const sent = (await recorded(records("named"))).at(-1);
  expect(sent?.["body"]).toBe(asked[0]?.replace('"named"', '"org/model"'));
});

test("what the program refuses is the client's mistake, in its words", async () => {
  const { status, json } = await post("/v1/chat/completions", { model: "foreign", messages, refuse: true });
  expect([status, json]).toMatchObject([
    400,
    { error: { code: "invalid_request", message: "body.refuse: Input should be false." } },
  ]);
});

test("reranking and scoring go to the program's own routes, with all that they take", async () => {
  const rerank = { model: "judge", query: "which?", documents: [{ image: "x" }], top_n: 1, rank_fields: ["image"] };
  expect((await post("/v1/rerank", rerank)).json).toMatchObject({ results: [{ document: { text: "as it is" } }] });
  const score = { model: "judge", text_1: ["a", "b"], text_2: ["c", "d"] };
  expect((await post("/score", score)).json).toMatchObject({ data: [{ score: 0.25 }] });
  const sent = await recorded(records("judge"));
  expect(sent.slice(-2)).toMatchObject([
    { path: "/v1/rerank", body: asked[0] },
    { path: "/v1/score", body: asked[1] },
  ]);
});

test("images come from the program as it makes them, and none is made as a probe", async () => {
  const body = { model: "painter", prompt: "a river", size: "64x64", steps: 3 };
  expect((await post("/v1/images/generations", body)).json).toMatchObject({ data: [{ b64_json: "iVBORw0KGgo=" }] });
  expect(await recorded(records("painter"))).toMatchObject([{ path: "/v1/images/generations", body: asked[0] }]);
  expect((await post("/v1/images/generations", { ...body, model: "foreign" })).status).toBe(400);
});

test("it is shown like any instance, with where it listens, what it was said to take, and no rate of its own", async () => {
  await post("/v1/chat/completions", { model: "foreign", messages });
  const [instance] = readyInstances(await assistant.status(), "foreign");
  expect(instance).toMatchObject({ engine: "command", estimatedMemoryBytes: 64 * 2 ** 20, onlyOpenAi: true });
  expect(instance?.endpoint).toMatch(/^127\.0\.0\.1:\d+$/);
  expect((await assistant.run(["ps"])).stdout).toMatch(/foreign@cpu +ready +command/);
  expect((await assistant.run(["list"])).stdout).toMatch(/foreign +chat .*(loaded|ready to run)/);
  expect((await assistant.run(["show", "foreign"])).stdout).not.toMatch(/not on this machine/);
  expect((await assistant.run(["logs", "foreign@cpu"])).stdout).toMatch(/listening/);
});

test("`run` talks to it, and `tune` says why it has nothing to tune", async () => {
  expect((await assistant.run(["run", "foreign", "Hi"])).stdout).toContain("Hello there");
  const { exitCode, stderr } = await assistant.run(["tune", "foreign"]);
  expect([exitCode === 0, stderr]).toEqual([false, expect.stringMatching(/foreign is run by another program/)]);
});

test("a program that was killed is started again by the next request, on another port if need be", async () => {
  await post("/v1/chat/completions", { model: "mortal", messages });
  const [before] = readyInstances(await assistant.status(), "mortal");
  // The fifth of at most four: another one was evicted for it.
  const { instances } = await assistant.status();
  expect(instances.filter(({ state }) => state === "ready")).toHaveLength(4);
  process.kill(before?.pid ?? 0, "SIGKILL");
  await eventually("its death is known", async () => readyInstances(await assistant.status(), "mortal").length === 0);
  expect((await post("/v1/chat/completions", { model: "mortal", messages })).status).toBe(200);
  const [after] = readyInstances(await assistant.status(), "mortal");
  expect(after?.pid).not.toBe(before?.pid);
});
