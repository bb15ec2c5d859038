import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import { execa } from "execa";
import { Redis } from "ioredis";
import { Connection } from "rabbitmq-client";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { loadInferenceService, type WireInferResponse } from "../../src/api/inference-service.ts";
import { readWav, wavHeader } from "../../src/engines/speech/wav.ts";
import { type PipelineServices, startPipelineServices } from "../fakes/pipeline-services.ts";
import { compileCache, eventually, packageRoot } from "../support/assistant.ts";
import { type FakeInstallation, fake, installFakes } from "../support/fake-installation.ts";
import { httpxClient } from "../support/httpx.ts";
import { openAiServer } from "../support/openai-server.ts";
import { startRabbit, type TestRabbit } from "../support/rabbitmq.ts";
import { freePort, startRedis, type TestRedis } from "../support/redis.ts";
import { startReceiver } from "../support/webhook-receiver.ts";

interface Frame {
  readonly type: string;
  readonly chunk: unknown;
}

let assistant: FakeInstallation;
let services: PipelineServices;
let redis: TestRedis;
let rabbit: TestRabbit;
let database: string;
let url: string;
let root: string;
let grpc: string;

const pipelines = (): Readonly<Record<string, string>> => ({
  voice: `default = true
    stages = [{ use = "model", model = "river", options = { max_tokens = 3 } }, { use = "speech", model = "espeak" }]
    [awake.en]
    text = "Here I am."
    [awake.chime]
    text = "Ding."
    audio = "chime.wav"`,
  heard: `stages = [{ use = "transcription", model = "ears", language = "en" }, { use = "./shout.ts" }]`,
  answer: `stages = [{ use = "model", model = "river" }]`,
  taiwan: `stages = [{ use = "splitter" }, { use = "opencc", config = "s2twp" }]`,
  dify: `stages = [{ use = "dify", url = "${services.url}/v1", api_key_env = "DIFY_KEY" }]`,
  sovits: `
    [[stages]]
    use = "dify"
    url = "${services.url}/v1"
    to_client = false
    [[stages]]
    use = "gpt-sovits"
    url = "${services.url}"
    [stages.voices.anna]
    glad = { ref_audio = "/voices/anna.wav", ref_text = "今天" }`,
  service: `
    [[stages]]
    use = "http"
    url = "${services.url}/json"
    body = { q = "<{{input}}>", by = "{{request.user}}", style = "{{options.style}}" }
    pick = "data"
    [[stages]]
    use = "json"
    accepts = "json"
    template = "{{input.said}} {{input.items[0].title}}"`,
  events: `stages = [{ use = "http", url = "${services.url}/sse", answer = "sse", pick = "t", emits = "text" }]`,
  broken: `stages = [{ use = "splitter" }, { use = "http", name = "service", url = "${services.url}/broken" }]`,
  silent: `stages = [{ use = "http", url = "${services.url}/silent", timeout_s = 0.2 }]`,
  away: `stages = [{ use = "http", url = "http://127.0.0.1:1/" }]`,
  loud: `stages = [{ use = "splitter" }, { use = "./shout.ts", marks = 2 }]`,
  misfit: `stages = [{ use = "speech", model = "espeak" }, { use = "splitter" }]`,
  loop: `stages = [{ use = "./loop.js" }]`,
  unknown: `stages = [{ use = "nothing" }]`,
  "from-list": `
    source = { use = "redis", url = "${redis.url}", list = "questions" }
    stages = [{ use = "./shout.ts" }, { use = "redis", url = "${redis.url}", list = "answers" }]`,
  "from-stream": `
    source = { use = "redis", url = "${redis.url}", stream = "events" }
    stages = [{ use = "./shout.ts" }, { use = "redis", url = "${redis.url}", stream = "loud" }]`,
  "from-channel": `
    source = { use = "redis", url = "${redis.url}", channel = "calls" }
    stages = [{ use = "./shout.ts" }, { use = "redis", url = "${redis.url}", list = "called" }]`,
  "from-rows": `
    stages = [{ use = "./shout.ts" }, { use = "sql", database = "${database}", statement = "INSERT INTO log VALUES (:value, :user)" }]
    [source]
    use = "sql"
    database = "${database}"
    query = "SELECT id, text, user FROM questions WHERE answer IS NULL AND error IS NULL"
    done = "UPDATE questions SET answer = :answer WHERE id = :id"
    failed = "UPDATE questions SET error = :error WHERE id = :id"
    poll_s = 0.05`,
  "from-queue": `
    source = { use = "rabbitmq", url_env = "RABBIT", queue = "questions", durable = false }
    stages = [{ use = "./once.js" }, { use = "rabbitmq", url_env = "RABBIT", routing_key = "answers" }]`,
});

/** A tenth of a second at 8 kHz. */
const chime = Buffer.concat([wavHeader(8_000, 1_600), Buffer.alloc(1_600, 1)]);

/** Fails on the first message that says so, and not on the second. */
const ONCE = `const seen = new Set();
export const createStage = () => ({ accepts: "text", emits: "text", async *run(input) {
  for await (const text of input) {
    if (text.startsWith("flaky") && !seen.has(text)) { seen.add(text); throw new Error("not yet"); }
    yield { next: text.toUpperCase() };
  }
} });`;

const LOOP = `export const createStage = () => ({ accepts: "text", emits: "text", async *run(input, { models }) {
  for await (const content of input)
    for await (const next of models.chat({ model: "loop", messages: [{ role: "user", content }] })) yield { next };
} });`;

beforeAll(async () => {
  [services, redis, rabbit] = await Promise.all([startPipelineServices(), startRedis(), startRabbit()]);
  const [port, grpcPort] = [await freePort(), await freePort()];
  root = `http://127.0.0.1:${port}`;
  grpc = `127.0.0.1:${grpcPort}`;
  assistant = await installFakes({
    config: `[pipelines]\naddr = "127.0.0.1:${port}"\n[tasks]\nwebhook_allow_private = true\n`,
    env: { DIFY_KEY: "app-secret", RABBIT: rabbit.url, ASSISTANT_GRPC_ADDR: grpc },
    models: { river: {} },
  });
  database = join(assistant.root, "questions.db");
  using file = new DatabaseSync(database);
  file.exec(
    "CREATE TABLE questions (id INTEGER PRIMARY KEY, text, user, answer, error); CREATE TABLE log (value, user)",
  );
  await assistant.writeModel("espeak", '[tts]\nsource = "espeak-ng"');
  await assistant.writeModel(
    "ears",
    `[transcription]\nengine = "command"\nsource = "any"\n[command]\nrun = ${JSON.stringify(openAiServer("--port", "{port}"))}\nenv = { NODE_NO_WARNINGS = "1", NODE_COMPILE_CACHE = "${compileCache}" }`,
  );
  const folder = join(assistant.root, "pipelines");
  await mkdir(folder);
  await writeFile(join(folder, "chime.wav"), chime);
  await copyFile(join(packageRoot, "examples/pipelines/shout.ts"), join(folder, "shout.ts"));
  await writeFile(join(folder, "once.js"), ONCE);
  await writeFile(join(folder, "loop.js"), LOOP);
  for (const [name, toml] of Object.entries(pipelines())) await writeFile(join(folder, `${name}.toml`), toml);
  url = await assistant.serve();
}, 120_000);
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await Promise.all([services, redis, rabbit].map((each) => each?.[Symbol.asyncDispose]()));
});

const request = (fields: object = {}): object => ({
  user: "anna",
  Input: "",
  text: "Hello there.",
  Entry: 0,
  ...fields,
});
const post = (path: string, body: object, base = url): Promise<Response> =>
  fetch(`${base}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const framesOf = (text: string): Frame[] =>
  text
    .split("\n\n")
    .filter((event) => event.startsWith("data: "))
    .map((event) => JSON.parse(event.slice("data: ".length)) as Frame);
async function run(name: string, fields: object = {}, base?: string): Promise<Frame[]> {
  const answer = await post(base === undefined ? `/pipelines/${name}/input` : "/input", request(fields), base);
  const text = await answer.text();
  expect(answer.status, text).toBe(200);
  return framesOf(text);
}
const END = { type: "end", chunk: "[DONE]" };
const textIn = (frames: readonly Frame[]): string =>
  frames.flatMap(({ type, chunk }) => (type === "text" ? [String(chunk)] : [])).join("");
const soundsIn = (frames: readonly Frame[]): Buffer[] =>
  frames.flatMap(({ type, chunk }) => (type === "audio/wav" ? [Buffer.from(String(chunk), "base64")] : []));

describe("a run", () => {
  test("is a stream of frames that ends with [DONE], with the headers of one", async () => {
    const answer = await post("/pipelines/answer/input", request());
    expect(answer.headers.get("content-type")).toBe("text/event-stream");
    expect(answer.headers.get("cache-control")).toBe("no-cache");
    const frames = framesOf(await answer.text());
    expect(frames.at(-1)).toEqual(END);
    expect(frames.slice(0, 2)).toEqual([
      { type: "text", chunk: "word0" },
      { type: "text", chunk: " word1" },
    ]);
  });

  test("text goes out as it comes, and each sentence as sound of 24 kHz", async () => {
    const frames = await run("voice");
    expect(textIn(frames)).toBe("word0 word1 word2");
    const [sound, ...more] = soundsIn(frames);
    expect(more).toEqual([]);
    expect(readWav(sound as Buffer)?.sampleRate).toBe(24_000);
    expect(frames.at(-1)).toEqual(END);
  });

  test("without `streamly` it is one object", async () => {
    const answer = await post("/pipelines/voice/input", request({ streamly: false }));
    expect(answer.headers.get("content-type")).toContain("application/json");
    const { status, data } = (await answer.json()) as { status: string; data: Frame[] };
    expect(status).toBe("success");
    expect(data.map(({ type }) => type)).toEqual(["text", "audio/wav"]);
    expect(data[0]?.chunk).toBe("word0 word1 word2");
  });

  test("may enter at a later stage", async () => {
    const frames = await run("voice", { Entry: 1, text: "Spoken." });
    expect(frames.map(({ type }) => type)).toEqual(["audio/wav", "end"]);
  });

  test.each([
    ["an Entry that is no stage", { Entry: 2 }, "Entry"],
    ["a negative Entry", { Entry: -1 }, "Entry"],
    ["an Entry that is no number", { Entry: "0" }, "Entry"],
    ["no text", { text: undefined }, "text"],
    ["no Input", { Input: undefined }, "Input"],
    ["a user that is no string", { user: 7 }, "user"],
    ["streamly that is no boolean", { streamly: "no" }, "streamly"],
  ])("refuses %s with 400 and the field", async (_, fields, param) => {
    const answer = await post("/pipelines/voice/input", request(fields));
    expect(answer.status).toBe(400);
    expect(await answer.json()).toMatchObject({
      detail: expect.any(String),
      error: { code: "invalid_request", param },
    });
  });

  test("the request's section turns a stage off, or sets its voice", async () => {
    expect(soundsIn(await run("voice", { TTS: { enable: false } }))).toEqual([]);
    expect(soundsIn(await run("voice", { LLM: { enable: false } }))).toEqual([]);
    const refused = await post("/pipelines/voice/input", request({ TTS: { enable: true, voice: "nobody" }, Entry: 1 }));
    expect(refused.status).toBe(400);
    expect(await refused.text()).toContain("nobody");
  });

  test("a client that leaves ends the work of its stages", async () => {
    const ending = new AbortController();
    const body = JSON.stringify(request({ text: fake({ tokens: 100_000, decodeDelayMs: 20 }) }));
    const headers = { "content-type": "application/json" };
    const answer = await fetch(`${url}/pipelines/answer/input`, {
      method: "POST",
      headers,
      body,
      signal: ending.signal,
    });
    await answer.body?.getReader().read();
    ending.abort();
    await eventually("the engine's slot is free", async () => {
      const { instances } = await assistant.state();
      return instances.filter(({ model }) => model === "river").every(({ inFlight }) => inFlight === 0);
    });
  });

  test("a pipeline that asks itself is refused", async () => {
    const answer = await post("/pipelines/loop/input", request());
    expect(answer.status).toBe(502);
    expect(await answer.text()).toContain("calls itself");
  });
});

describe("stages", () => {
  test("sentences and OpenCC", async () => {
    expect(await run("taiwan", { text: "鼠标坏了，打印机也坏了" })).toEqual([
      { type: "text", chunk: "滑鼠壞了，" },
      { type: "text", chunk: "印表機也壞了" },
      END,
    ]);
  });

  test("Dify: its stream, and the ids with which the client goes on", async () => {
    const frames = await run("dify", { conversation_id: "earlier" });
    expect(textIn(frames)).toBe("你好，世界。再见");
    expect(frames[0]).toMatchObject({ type: "info", chunk: { message_id: "663c5084-a254-4040-8ad3-51f2a3c1a77c" } });
    const asked = services.asked.findLast(({ path }) => path === "/v1/chat-messages");
    expect(asked).toMatchObject({
      authorization: "Bearer app-secret",
      body: { query: "Hello there.", user: "anna", response_mode: "streaming", conversation_id: "earlier" },
    });
  });

  test("Dify: an error within its stream is a frame, and the end follows", async () => {
    const frames = await run("dify", { text: "fail" });
    expect(frames.slice(-3)).toEqual([
      { type: "text", chunk: "half" },
      { type: "error", chunk: "Dify failed: quota." },
      END,
    ]);
  });

  test("Dify: a refusal is a 502 with its reason", async () => {
    const answer = await post("/pipelines/dify/input", request({ text: "refuse" }));
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({ detail: "Dify answered with status 400: no such app." });
  });

  test("GPT-SoVITS speaks each sentence with the recording of the voice and emotion", async () => {
    const frames = await run("sovits", { TTS: { voice: "anna", emotion: "glad" } });
    const sounds = soundsIn(frames);
    expect(sounds).toHaveLength(3);
    expect(readWav(sounds[0] as Buffer)).toMatchObject({ sampleRate: 24_000, samples: { length: 4_800 } });
    const texts = services.asked.filter(({ path }) => path === "/tts").map(({ body }) => body["text"]);
    expect(texts).toEqual(["你好，", "世界。", "再见"]);
    expect(services.asked.at(-1)?.body).toMatchObject({ ref_audio_path: "/voices/anna.wav", prompt_text: "今天" });
    const unknown = await post("/pipelines/sovits/input", request({ TTS: { voice: "bob" } }));
    expect(unknown.status).toBe(400);
  });

  test("HTTP and JSON: templates are filled in, parts picked out", async () => {
    expect(textIn(await run("service", { http: { style: "plain" } }))).toBe("<Hello there.> Elbe");
    expect(services.asked.at(-1)?.body).toEqual({ q: "<Hello there.>", by: "anna", style: "plain" });
  });

  test("HTTP: events are passed on one by one", async () => {
    expect(await run("events")).toEqual([{ type: "text", chunk: "one" }, { type: "text", chunk: "two" }, END]);
  });

  test.each([
    ["broken", /answered with status 500: it broke/],
    ["silent", /sent nothing for 0\.2 s/],
    ["away", /cannot be reached/],
  ])("HTTP: a service that is %s is named", async (name, message) => {
    const answer = await post(`/pipelines/${name}/input`, request());
    expect(answer.status).toBe(502);
    expect(await answer.json()).toMatchObject({
      detail: expect.stringMatching(message),
      error: { code: "stage_failed" },
    });
  });

  test("a recording is transcribed, and goes on as text", async () => {
    const frames = await run("heard", { text: "", Input: chime.toString("base64") });
    expect(frames).toEqual([{ type: "text", chunk: "HEARD A RECORDING!" }, END]);
    const without = await post("/pipelines/heard/input", request());
    expect(await without.json()).toMatchObject({ error: { code: "invalid_request", param: "Input" } });
  });

  test("a model goes on with the conversation that the request names", async () => {
    const begun = await (await post("/api/v1/conversations", { model: "river" })).json();
    const { conversation_id: id } = begun as { conversation_id: string };
    await run("answer", { conversation_id: id, text: fake({ tokens: 2 }) });
    await run("answer", { conversation_id: id, text: fake({ tokens: 1 }) });
    const kept = await (await fetch(`${url}/api/v1/conversations/${id}?include_messages=true`)).json();
    const { messages } = kept as { messages: { role: string; content: string }[] };
    expect(messages.map(({ role }) => role)).toEqual(["user", "assistant", "user", "assistant"]);
    expect(messages[1]?.content).toBe("word0 word1");
    const unknown = await post("/pipelines/answer/input", request({ conversation_id: "conv_000000000000" }));
    expect([unknown.status, (await unknown.json()) as object]).toMatchObject([
      404,
      { error: { code: "conversation_not_found", param: "conversation_id" } },
    ]);
  });

  test("a module of the user's, with its settings", async () => {
    expect(textIn(await run("loud", { text: "one, two" }))).toBe("ONE,!! TWO!!");
  });
});

describe("sources and sinks", () => {
  test("Redis: a list, in order, and what can never be answered apart", async () => {
    await using client = connected();
    await client.redis.rpush("questions", "one", JSON.stringify({ text: "two" }), JSON.stringify({ text: 3 }));
    await eventually("both are answered", async () => (await client.redis.llen("answers")) === 2);
    expect(await client.redis.lrange("answers", 0, -1)).toEqual(["ONE!", "TWO!"]);
    await eventually("the third is put aside", async () => (await client.redis.llen("questions:failed")) === 1);
    expect(await client.redis.llen("questions:taken")).toBe(0);
  });

  test("Redis: a stream, acknowledged", async () => {
    await using client = connected();
    await client.redis.xadd("events", "*", "value", "hello");
    await eventually("it is answered", async () => (await client.redis.xlen("loud")) === 1);
    await eventually("it is acknowledged", async () => {
      const [pending] = (await client.redis.xpending("events", "assistant")) as [number];
      return pending === 0;
    });
  });

  test("Redis: a channel", async () => {
    await using client = connected();
    await eventually("it listens", async () => (await client.redis.publish("calls", "ring")) === 1);
    await eventually("it is answered", async () => (await client.redis.lrange("called", 0, -1)).includes("RING!"));
  });

  test("SQL: rows are questions, answers are written back", async () => {
    using file = new DatabaseSync(database, { timeout: 5_000 });
    file.exec("INSERT INTO questions (text, user) VALUES ('one', 'anna'), (7, 'bob')");
    await eventually("both are settled", () => {
      const rows = file.prepare("SELECT answer, error FROM questions ORDER BY id").all();
      return rows.every(({ answer, error }) => answer !== null || error !== null) && rows;
    });
    const [good, bad] = file.prepare("SELECT answer, error FROM questions ORDER BY id").all();
    expect(good).toEqual({ answer: "ONE!", error: null });
    expect(bad?.["error"]).toContain('"text" must be a string');
    expect(file.prepare("SELECT * FROM log").all()).toEqual([{ value: "ONE!", user: "anna" }]);
  });
});

const connected = (): AsyncDisposable & { readonly redis: Redis } => {
  const client = new Redis(redis.url);
  return { redis: client, [Symbol.asyncDispose]: async () => client.disconnect() };
};

describe("the routes beside", () => {
  test.each([
    ["/", { message: "Hello World" }],
    ["/startup", { message: "Hello World" }],
    ["/heartbeat?user=anna", { message: "Success" }],
  ])("GET %s at the root", async (path, body) => {
    const answer = await fetch(`${root}${path}`);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual(body);
  });

  test("POST /input at the root is the default pipeline", async () => {
    expect((await run("", { Entry: 1 }, root)).map(({ type }) => type)).toEqual(["audio/wav", "end"]);
  });

  test("a greeting is a line of text and a line of sound, from a file or spoken", async () => {
    for (const voice of ["en", "chime"]) {
      const answer = await post("/awake", { user: "anna", voice }, root);
      expect(answer.headers.get("content-type")).toBe("application/x-ndjson");
      const [text, sound] = (await answer.text())
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Frame);
      expect(text?.type).toBe("text");
      expect(JSON.parse(String(text?.chunk))).toEqual({
        ...{ think: "", response: voice === "en" ? "Here I am." : "Ding.", conversation_id: "", message_id: "" },
        Is_End: true,
      });
      expect(sound?.type).toBe("audio/wav");
      expect(readWav(Buffer.from(String(sound?.chunk), "base64"))?.sampleRate).toBe(24_000);
    }
    const unknown = await post("/awake", { user: "anna", voice: "bob" }, root);
    expect([unknown.status, await unknown.text()]).toMatchObject([400, expect.stringContaining('expected \\"en\\"')]);
  });

  test("a text is spoken at /gpttest", async () => {
    const answer = await fetch(`${root}/gpttest/Good%20morning`);
    expect(answer.headers.get("content-type")).toBe("audio/wav");
    expect(readWav(Buffer.from(await answer.arrayBuffer()))?.samples.length).toBeGreaterThan(1_000);
    expect((await fetch(`${url}/pipelines/answer/gpttest/Hi`)).status).toBe(400);
  });

  test.each([
    [
      "GET",
      "/messages?user=anna&conversation_id=c-1",
      { data: [{ id: "m-1" }] },
      "/v1/messages?user=anna&conversation_id=c-1",
    ],
    ["GET", "/conversations?user=anna", { data: [{ id: "c-1" }] }, "/v1/conversations?user=anna&limit=20"],
    [
      "GET",
      "/messages/suggested?user=anna&conversation_id=c-1",
      { data: ["Why?"] },
      "/v1/messages/m-1/suggested?user=anna",
    ],
    ["POST", "/conversations/rename", { name: "Rivers" }, "/v1/conversations/c-1/name"],
    ["DELETE", "/conversations/delete", { result: "success" }, "/v1/conversations/c-1"],
  ])("%s %s asks Dify about its conversations", async (method, path, data, asked) => {
    const headers = { "content-type": "application/json" };
    const body = JSON.stringify({ user: "anna", conversation_id: "c-1", name: "Rivers" });
    const init = method === "GET" ? {} : { method, headers, body };
    const answer = await fetch(`${url}/pipelines/dify${path}`, init);
    expect(await answer.json()).toMatchObject({ status: "success", data });
    expect(services.asked.at(-1)).toMatchObject({ method, path: asked, authorization: "Bearer app-secret" });
  });

  test.each([
    ["dify", "/messages?user=anna&conversation_id=../x", 400, "conversation_id"],
    ["dify", "/conversations?user=anna&limit=0", 400, "limit"],
    ["dify", "/conversations", 400, "user"],
    ["dify", "/messages?user=anna&conversation_id=gone", 502, null],
    ["answer", "/conversations?user=anna", 400, null],
  ])("of the pipeline %s %s is refused with %i", async (name, path, status, param) => {
    const answer = await fetch(`${url}/pipelines/${name}${path}`);
    expect([answer.status, await answer.json()]).toMatchObject([status, { error: { param } }]);
  });

  test("the root has nothing else, and says so in its own shape", async () => {
    const answer = await fetch(`${root}/v1/models`);
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ detail: expect.stringContaining("/v1/models") });
  });

  test("the schema names the fields of a request", async () => {
    const schema = (await (await fetch(`${url}/pipelines/voice/schema`)).json()) as Record<string, unknown>;
    expect(schema).toMatchObject({ title: "PipeLineRequest", required: ["user", "Input", "text", "Entry"] });
    expect(await (await fetch(`${root}/schema`)).json()).toEqual(schema);
  });

  test("a heartbeat names the stage whose service does not answer", async () => {
    const answer = await fetch(`${url}/pipelines/away/heartbeat`);
    expect(answer.status).toBe(502);
    expect(await answer.text()).toContain('The stage \\"http\\" of \\"away\\" failed');
    expect((await fetch(`${url}/pipelines/from-list/heartbeat`)).status).toBe(200);
  });

  test("a pipeline whose types do not fit is refused with its report", async () => {
    const answer = await post("/pipelines/misfit/input", request());
    expect(answer.status).toBe(503);
    expect(await answer.text()).toContain("❌ 验证失败: 类型不匹配: speech 输出 audio 但 splitter 期望 text");
  });

  test("a pipeline that is not there is a 404", async () => {
    const answer = await post("/pipelines/voicee/input", request());
    expect(answer.status).toBe(404);
    expect(await answer.json()).toMatchObject({ error: { code: "pipeline_not_found", remedy: "Did you mean voice?" } });
  });
});

describe("as a model", () => {
  const messages = [{ role: "user", content: "Hello there." }];

  test("a chat is text, and has sound where it is asked for", async () => {
    const plain = await (await post("/v1/chat/completions", { model: "voice", messages })).json();
    expect(plain).toMatchObject({ choices: [{ message: { role: "assistant", content: "word0 word1 word2" } }] });
    expect(JSON.stringify(plain)).not.toContain('"audio"');
    const asked = { model: "voice", messages, modalities: ["text", "audio"], audio: { voice: "en", format: "wav" } };
    const { choices } = (await (await post("/v1/chat/completions", asked)).json()) as {
      choices: { message: { content: string; audio: { data: string; transcript: string } } }[];
    };
    const { audio } = choices[0]?.message ?? {};
    expect(audio?.transcript).toBe("word0 word1 word2");
    expect(readWav(Buffer.from(audio?.data ?? "", "base64"))?.sampleRate).toBe(24_000);
  });

  test("a stream of a chat has sound in its deltas", async () => {
    const body = { model: "voice", messages, stream: true, modalities: ["text", "audio"], audio: { format: "pcm16" } };
    const text = await (await post("/v1/chat/completions", body)).text();
    expect(text).toContain('"audio":{"id":"audio_chatcmpl-');
    expect(text.trimEnd().endsWith("data: [DONE]")).toBe(true);
  });

  test("speech is the sound alone", async () => {
    const answer = await post("/v1/audio/speech", { model: "voice", input: "Hello." });
    expect(answer.headers.get("content-type")).toBe("audio/wav");
    expect(readWav(Buffer.from(await answer.arrayBuffer()))?.samples.length).toBeGreaterThan(1_000);
    expect((await post("/v1/audio/speech", { model: "answer", input: "Hello." })).status).toBe(400);
  });

  const chat = { model: "loud", messages: [{ role: "user", content: "one" }] };
  const input = [{ name: "text_input", shape: [1], datatype: "BYTES", data: ["one"] }];
  test.each([
    ["OpenAI's chat", "/v1/chat/completions", chat],
    ["OpenAI's chat, streamed", "/v1/chat/completions", { ...chat, stream: true }],
    ["OpenAI's responses", "/v1/responses", { model: "loud", input: "one", store: false }],
    ["OpenAI's responses, streamed", "/v1/responses", { model: "loud", input: "one", stream: true, store: false }],
    ["Anthropic's messages", "/v1/messages", { ...chat, max_tokens: 9 }],
    ["Anthropic's messages, streamed", "/v1/messages", { ...chat, max_tokens: 9, stream: true }],
    ["Ollama's chat", "/api/chat", chat],
    ["Ollama's generate", "/api/generate", { model: "loud", prompt: "one", stream: false }],
    ["KServe's infer", "/v2/models/loud/infer", { inputs: input }],
    ["KServe's generate", "/v2/models/loud/generate", { text_input: "one" }],
  ])("%s has its text", async (_, path, body) => {
    const answer = await post(path, body);
    expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining("ONE!!")]);
  });

  test("KServe over gRPC has its text", async () => {
    const { service } = await loadInferenceService();
    const client = new (makeGenericClientConstructor(service, "GRPCInferenceService"))(
      grpc,
      credentials.createInsecure(),
    );
    const contents = { bytesContents: [Buffer.from("one")] };
    const asked = { modelName: "loud", inputs: [{ name: "text_input", datatype: "BYTES", shape: [1], contents }] };
    const answer = await new Promise<WireInferResponse>((resolve, reject) =>
      client["ModelInfer"]?.(asked, (error: Error | null, value: WireInferResponse) =>
        error === null ? resolve(value) : reject(error),
      ),
    );
    client.close();
    expect(Buffer.concat(answer.outputs?.[0]?.contents?.bytesContents ?? []).toString()).toBe("ONE!!");
  });

  const tools = [{ type: "function", function: { name: "f", parameters: {} } }];
  const picture = [{ type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=" } }];
  test.each([
    ["tools", "/v1/chat/completions", { ...chat, tools }],
    ["several answers", "/v1/chat/completions", { ...chat, n: 2 }],
    ["a schema where no model is asked", "/v1/chat/completions", { ...chat, response_format: { type: "json_object" } }],
    ["sound where no stage speaks", "/v1/chat/completions", { ...chat, modalities: ["text", "audio"] }],
    [
      "a picture where no model is asked",
      "/v1/chat/completions",
      { model: "loud", messages: [{ role: "user", content: picture }] },
    ],
    [
      "tools",
      "/v1/responses",
      { model: "loud", input: "one", tools: [{ type: "function", name: "f", parameters: {} }] },
    ],
    ["tools", "/v1/messages", { ...chat, max_tokens: 9, tools: [{ name: "f", input_schema: { type: "object" } }] }],
    ["tools", "/api/chat", { ...chat, tools }],
    ["completions", "/v1/completions", { model: "loud", prompt: "one" }],
    ["embeddings", "/v1/embeddings", { model: "loud", input: "one" }],
    ["Ollama's embeddings", "/api/embed", { model: "loud", input: "one" }],
    ["speech where no stage speaks", "/v1/audio/speech", { model: "loud", input: "one" }],
    [
      "tensors that are no text",
      "/v2/models/loud/infer",
      { inputs: [{ name: "x", shape: [1], datatype: "FP32", data: [1] }] },
    ],
  ])("%s at %s are refused", async (_, path, body) => {
    const answer = await post(path, body);
    expect([answer.status, await answer.text()]).toEqual([400, expect.stringMatching(/error/)]);
  });
});

describe("as a task's model", () => {
  const submit = async (fields: object): Promise<string> => {
    const answer = await post("/api/v1/tasks", { model: "answer", ...fields });
    const body = (await answer.json()) as { task_id: string };
    expect(answer.status, JSON.stringify(body)).toBeLessThan(300);
    return body.task_id;
  };
  const stateOf = async (id: string) => (await (await fetch(`${url}/api/v1/tasks/${id}`)).json()) as { status: string };

  test("it answers, and its webhook says so", async () => {
    await using receiver = await startReceiver();
    const id = await submit({ model: "loud", prompt: "one", priority: 7, webhook_url: receiver.url });
    await eventually("the webhook is there", () => receiver.received.some(({ body }) => body.includes("ONE!!")));
    expect(await stateOf(id)).toMatchObject({ status: "completed", result: { text: "ONE!!" } });
  });

  test("cancelling it reaches the engine of its stage", async () => {
    const id = await submit({ prompt: fake({ tokens: 100_000, decodeDelayMs: 20 }), max_tokens: 100_000 });
    const inFlight = async (): Promise<number> =>
      (await assistant.state()).instances.reduce(
        (sum, { model, inFlight }) => sum + (model === "river" ? inFlight : 0),
        0,
      );
    await eventually("the engine works", async () => (await inFlight()) > 0);
    await post(`/api/v1/tasks/${id}/cancel`, {});
    await eventually("the engine is free", async () => (await inFlight()) === 0);
    await eventually("it is cancelled", async () => (await stateOf(id)).status === "cancelled");
  });
});

describe("commands", () => {
  test("check prints the reports, and fails where something is wrong", async () => {
    const one = await assistant.run(["pipeline", "check", "misfit"]);
    expect(one.exitCode).toBe(78);
    expect(one.stdout).toContain("❌ 验证失败: 类型不匹配: speech 输出 audio 但 splitter 期望 text");
    const good = await assistant.run(["pipeline", "check", "loud", "--json"]);
    expect(good.exitCode).toBe(0);
    expect(JSON.parse(good.stdout)).toMatchObject({ pipelines: [{ name: "loud", state: "ready" }], problems: [] });
  });

  test("run prints text and writes sound", async () => {
    const { stdout, stderr, exitCode } = await assistant.run([
      "pipeline",
      "run",
      "voice",
      "Hello",
      "--output",
      "v.wav",
    ]);
    expect([exitCode, stdout]).toEqual([0, "word0 word1 word2"]);
    expect(stderr).toContain("wrote v-1.wav");
  });

  test("list shows the state of each", async () => {
    const { stdout } = await assistant.run(["pipeline", "list", "--json"]);
    const { pipelines: listed, problems } = JSON.parse(stdout) as {
      pipelines: { name: string; state: string }[];
      problems: string[];
    };
    expect(problems).toEqual([expect.stringMatching(/unknown\.toml:1: .*expected one of .*found "nothing"/)]);
    expect(listed.filter(({ state }) => state === "invalid").map(({ name }) => name)).toEqual(["misfit"]);
  });
});

test("a changed file takes effect, a broken one harms no other", async () => {
  const folder = join(assistant.root, "pipelines");
  await writeFile(join(folder, "taiwan.toml"), "[[stages");
  await writeFile(join(folder, "loud.toml"), 'stages = [{ use = "./shout.ts", marks = 3 }]');
  await eventually("the change shows", async () => textIn(await run("loud", { text: "one" })) === "ONE!!!");
  expect((await post("/pipelines/taiwan/input", request())).status).toBe(404);
  expect((await assistant.state()).notices.map(({ message }) => message).join()).toContain("the pipeline is left out");
});

test("httpx reads a run as it comes", async () => {
  const packages = await httpxClient();
  const program = `
import httpx, json, sys
frames = []
body = {"user": "me", "Input": "", "text": "Hello", "Entry": 0}
with httpx.stream("POST", sys.argv[1] + "/input", json=body, timeout=60) as answer:
    answer.raise_for_status()
    assert answer.headers["content-type"] == "text/event-stream"
    for line in answer.iter_lines():
        if line.startswith("data: "):
            frames.append(json.loads(line[6:]))
print(json.dumps([frame["type"] for frame in frames]))
assert frames[-1] == {"type": "end", "chunk": "[DONE]"}
`;
  const { stdout } = await execa("python3", ["-c", program, root], { env: { PYTHONPATH: packages } });
  expect(new Set(JSON.parse(stdout) as string[])).toEqual(new Set(["text", "audio/wav", "end"]));
});

// The last one: the broker has had the time of the others to start.
test("RabbitMQ: a message is taken, tried again where it fails, and answered to whoever asks", async () => {
  await rabbit.ready;
  const connection = new Connection(rabbit.url);
  // The daemon may not have found the broker yet.
  await connection.queueDeclare({ queue: "questions", durable: false });
  const answers: string[] = [];
  const consumer = connection.createConsumer({ queue: "answers", queueOptions: { queue: "answers" } }, ({ body }) => {
    answers.push(String(body));
  });
  const client = connection.createRPCClient({ confirm: true, timeout: 60_000 });
  const reply = await client.send("questions", "hello");
  expect(String(reply.body)).toBe("HELLO");
  const publisher = connection.createPublisher({ confirm: true });
  await publisher.send("questions", "flaky one");
  await eventually("it is answered the second time", () => answers.includes("FLAKY ONE"));
  expect(answers).toEqual(["HELLO", "FLAKY ONE"]);
  expect((await fetch(`${url}/pipelines/from-queue/heartbeat`)).status).toBe(200);
  await client.close();
  await publisher.close();
  await consumer.close();
  await connection.close();
}, 90_000);
