import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Hub, startHub } from "../fakes/hub.ts";
import { eventually } from "../support/assistant.ts";
import { type FakeInstallation, installFakes } from "../support/fake-installation.ts";
import { emptyGguf, ggufPieces } from "../support/gguf-writer.ts";

const sha256 = (content: string | Buffer): string => createHash("sha256").update(content).digest("hex");
/** A GGUF file whose header says what it is. */
const weights = Buffer.concat(
  ggufPieces(
    new Map([
      ["general.architecture", { text: "llama" }],
      ["llama.context_length", { u32: 4096 }],
    ]),
    [],
  ),
);
const PRESETS = `models:
  - {name: tiny, huggingface_repo: ORG/tiny-GGUF, filename: tiny.gguf, size_b: 0.1, provider_config: {context_window: 1024}}
`;

let hub: Hub;
let assistant: FakeInstallation;
let url: string;

beforeAll(async () => {
  hub = await startHub();
  const sizes = { size: weights.length, lfs: { size: weights.length, sha256: sha256(weights) } };
  const files = { siblings: [{ rfilename: "tiny.gguf", ...sizes }] };
  hub.set("/api/models/ORG/tiny-GGUF/revision/main", { body: Buffer.from(JSON.stringify(files)) });
  hub.set("/ORG/tiny-GGUF/resolve/main/tiny.gguf", { body: weights });
  assistant = await installFakes({
    models: { river: { contextTokens: 512 }, vectors: { kind: "embedding" } },
    env: { HF_ENDPOINT: hub.url, OLLAMA_MODELS: "/nowhere" },
    config: 'cors_origins = ["https://chat.example"]',
  });
  await mkdir(join(assistant.root, "presets"), { recursive: true });
  await writeFile(join(assistant.root, "presets/local.yaml"), PRESETS);
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await hub?.[Symbol.asyncDispose]();
});

type Line = Record<string, unknown>;

interface Answered {
  readonly status: number;
  readonly type: string | null;
  readonly text: string;
  readonly lines: readonly Line[];
  /** Of an answer in one piece. */
  readonly body: Line;
}

/** As curl sends it: without the type of JSON. */
async function call(method: string, path: string, body?: object | Buffer, headers: object = {}): Promise<Answered> {
  const answer = await fetch(`${url}${path}`, {
    method,
    headers: { ...headers },
    ...(body === undefined ? {} : { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  const text = await answer.text();
  const lines = /^[{[]/.test(text)
    ? text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line) as Line)
    : [];
  return { status: answer.status, type: answer.headers.get("content-type"), text, lines, body: lines[0] ?? {} };
}

const names = async (): Promise<unknown[]> =>
  ((await call("GET", "/api/tags")).body["models"] as Line[]).map(({ name }) => name).sort();
const running = async (): Promise<Line[]> => (await call("GET", "/api/ps")).body["models"] as Line[];
const isUnloaded = async (model: string): Promise<boolean> => !(await running()).some(({ name }) => name === model);

describe("a client that looks around", () => {
  it("is greeted", async () => {
    expect(await call("GET", "/")).toMatchObject({ status: 200, text: "Ollama is running" });
    expect((await call("HEAD", "/")).status).toBe(200);
    expect((await call("GET", "/api/version")).body["version"]).toMatch(/^\d+\.\d+\.\d+$/);
  });
  it("sees the models, and what is known of one", async () => {
    expect(await names()).toEqual(["river:latest", "vectors:latest"]);
    const { body } = await call("POST", "/api/show", { model: "river" });
    expect(body).toMatchObject({ details: { format: "gguf" }, parameters: expect.stringMatching(/^num_ctx +512$/) });
  });
  it("learns in one sentence what is not there", async () => {
    const { status, body } = await call("POST", "/api/show", { model: "lost:7b" });
    expect(status).toBe(404);
    expect(body["error"]).toMatch(/not found.*lost:7b/);
  });
});

describe("a request", () => {
  const chat = { model: "river", messages: [{ role: "user", content: "Hello" }] };

  it("is answered in lines, the last of them with the figures", async () => {
    const { status, type, lines } = await call("POST", "/api/chat", chat);
    expect({ status, type }).toEqual({ status: 200, type: "application/x-ndjson" });
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.slice(0, -1).every(({ done }) => done === false)).toBe(true);
    expect(lines.at(-1)).toMatchObject({ model: "river", done: true, total_duration: expect.any(Number) });
    expect(lines.at(-1)?.["eval_count"]).toBeGreaterThan(0);
  });
  it("is answered in one piece where it asks for that", async () => {
    const { type, lines } = await call("POST", "/api/generate", { model: "river:latest", prompt: "Hi", stream: false });
    expect(type).toMatch(/^application\/json/);
    expect(lines).toMatchObject([{ model: "river:latest", done: true, response: expect.stringMatching(/./) }]);
  });
  it("has vectors of length 1, cut as it asks", async () => {
    const { body } = await call("POST", "/api/embed", { model: "vectors", input: ["a", "b"], dimensions: 2 });
    const [first = []] = body["embeddings"] as number[][];
    expect(first).toHaveLength(2);
    expect(Math.hypot(...first)).toBeCloseTo(1);
  });
  it("for more context than there is is refused", async () => {
    const { status, body } = await call("POST", "/api/chat", { ...chat, options: { num_ctx: 4096 } });
    expect(status).toBe(400);
    expect(body["error"]).toMatch(/requests 4096 tokens of context; "river" has 512/);
  });
  it("without a prompt loads the model, and with keep_alive 0 unloads it", async () => {
    const loaded = await call("POST", "/api/generate", { model: "river" });
    expect(loaded.body).toMatchObject({ done: true, done_reason: "load", response: "" });
    expect(await running()).toContainEqual(expect.objectContaining({ name: "river:latest", context_length: 512 }));
    const unloaded = await call("POST", "/api/chat", { model: "river", keep_alive: 0 });
    expect(unloaded.body).toMatchObject({ done: true, done_reason: "unload", message: { content: "" } });
    await eventually("river is unloaded", () => isUnloaded("river:latest"));
  });
  it("with a longer keep_alive has the model stay for that time", async () => {
    await call("POST", "/api/chat", { ...chat, keep_alive: "2h" });
    const [{ expires_at: until } = {}] = (await running()).filter(({ name }) => name === "river:latest");
    expect(Date.parse(String(until)) - Date.now()).toBeGreaterThan(3_600_000);
  });
  it("with keep_alive 0 is answered before the model is unloaded", async () => {
    const { lines } = await call("POST", "/api/chat", { ...chat, keep_alive: 0 });
    expect(lines.at(-1)).toMatchObject({ done: true, done_reason: "stop" });
    await eventually("river is unloaded", () => isUnloaded("river:latest"));
  });
});

describe("models", () => {
  it("are copied with other settings, and deleted", async () => {
    const created = await call("POST", "/api/create", {
      model: "brook:v2",
      from: "river",
      parameters: { temperature: 0.3 },
    });
    expect(created.lines.at(-1)).toEqual({ status: "success" });
    expect((await call("POST", "/api/copy", { source: "brook:v2", destination: "creek" })).status).toBe(200);
    expect(await names()).toEqual(["brook:v2", "creek:latest", "river:latest", "vectors:latest"]);
    // A file that somebody wrote is not lost to a copy, and a name is one model's.
    expect((await call("POST", "/api/copy", { source: "creek", destination: "vectors" })).status).toBe(409);
    expect((await call("POST", "/api/copy", { source: "creek", destination: "someone/brook:v2" })).status).toBe(409);
    const { body } = await call("POST", "/api/show", { model: "creek" });
    expect(body["parameters"]).toMatch(/^temperature +0\.3$/m);
    for (const model of ["brook:v2", "creek"])
      expect((await call("DELETE", "/api/delete", { model })).status).toBe(200);
    expect(await names()).toEqual(["river:latest", "vectors:latest"]);
    expect(await readFile(assistant.weights("river"))).toEqual(emptyGguf);
  });
  it("are made of a file that was sent, whose weights go with them", async () => {
    const digest = `sha256:${sha256(weights)}`;
    expect((await call("HEAD", `/api/blobs/${digest}`)).status).toBe(404);
    const wrong = await call("POST", `/api/blobs/sha256:${"0".repeat(64)}`, weights);
    expect([wrong.status, wrong.body["error"]]).toEqual([400, expect.stringMatching(/digest/)]);
    for (const body of [undefined, Buffer.alloc(0)])
      expect((await call("POST", `/api/blobs/${digest}`, body)).status).toBe(400);
    expect((await call("POST", `/api/blobs/${digest}`, weights)).status).toBe(201);
    expect(await readdir(join(assistant.root, "data/models/.uploads"))).toEqual([digest.slice(7)]);
    expect((await call("HEAD", `/api/blobs/${digest}`)).status).toBe(200);
    const { lines } = await call("POST", "/api/create", { model: "sent", files: { "sent.gguf": digest } });
    expect(lines.at(-1)).toEqual({ status: "success" });
    const { body } = await call("GET", "/api/tags");
    expect(body["models"]).toContainEqual(
      expect.objectContaining({ name: "sent:latest", digest: sha256(weights), size: weights.length }),
    );
    expect((await call("DELETE", "/api/delete", { model: "sent" })).status).toBe(200);
    expect((await call("HEAD", `/api/blobs/${digest}`)).status).toBe(404);
  });
  it("are pulled by the name of a preset, with a line for each step", async () => {
    const { lines } = await call("POST", "/api/pull", { model: "tiny" });
    expect(lines[0]).toEqual({ status: "pulling manifest" });
    expect(lines.at(-1)).toEqual({ status: "success" });
    expect(await names()).toContain("tiny:latest");
    const { body } = await call("POST", "/api/show", { model: "tiny" });
    expect(body["model_info"]).toMatchObject({ "general.architecture": "llama", "llama.context_length": 4096 });
  });
  it("need no pull if their weights are here, and no registry knows their name", async () => {
    for (const model of ["river", "river:latest"])
      expect((await call("POST", "/api/pull", { model })).lines).toEqual([
        { status: "pulling manifest" },
        { status: "success" },
      ]);
  });
  it("are not pulled from private addresses, which is the client's mistake", async () => {
    const order = { model: "http://127.0.0.1:1/x.gguf", stream: false };
    expect(await call("POST", "/api/pull", order)).toMatchObject({
      status: 400,
      body: { error: expect.stringMatching(/private network/) },
    });
  });
  it("leave files of others alone, before anything is pulled for them", async () => {
    const file = join(assistant.modelDir, "stream.toml");
    const text = assistant.toml("river").replace('"river"', '"mini"').replace("[chat]", "# mine\n[chat]");
    await writeFile(file, text);
    await assistant.reload();
    for (const from of ["mini", "river", "unknown-name"]) {
      const { status, body } = await call("POST", "/api/create", { model: "stream", from, stream: false });
      expect([from, status, body["error"]]).toEqual([from, 409, expect.stringContaining(file)]);
    }
    expect(await readFile(file, "utf8")).toBe(text);
    await rm(file);
    await assistant.reload();
  });
  it("are not pushed", async () => {
    expect((await call("POST", "/api/push", { model: "river" })).status).toBe(501);
  });
  it.each([
    ["what a proxy forwards", { "x-forwarded-for": "192.0.2.1" }],
    ["pages of elsewhere that may ask models", { origin: "https://chat.example" }],
  ])("are not changed by %s, while there are no keys", async (_, headers) => {
    const { status, body } = await call("DELETE", "/api/delete", { model: "river" }, headers);
    expect(status).toBe(403);
    expect(body["error"]).toMatch(/scope "admin"/);
  });
});
