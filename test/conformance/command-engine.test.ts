import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, installAssistant, readyInstances, type TestAssistant } from "../support/assistant.ts";
import { embeddingModelFile, quickChatModelFile } from "../support/model-files.ts";
import { nativeEngineConfig, nativeEngineFile } from "../support/native-engine.ts";
import { withRankHead } from "../support/rank-head.ts";

/** llama-server as any other server: by a command line, over TCP, with OpenAI's API alone. */
const common = ["--host", "127.0.0.1", "--port", "{port}", "--model", "{model}", "--threads", "{threads}"];
const toml = (section: string, source: string, args: readonly string[], more = ""): string =>
  `[${section}]\nengine = "command"\nsource = "${source}"\nctx_size = 512\nslots = 1\nthreads = 1\n${more}
[command]\nrun = ${JSON.stringify([nativeEngineFile(), ...common, ...args])}\n`;

let assistant: TestAssistant;
let url: string;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "command-"));
  const [chat, { model: embedding }] = await Promise.all([quickChatModelFile(), embeddingModelFile()]);
  const reranker = join(folder, "ranks.gguf");
  await withRankHead(embedding, reranker);
  const native = (file: string): string =>
    `[rerank]\nengine = "llama-server"\nsource = "${file}"\nctx_size = 64\nslots = 1\nthreads = 1\n`;
  assistant = await installAssistant({
    config: nativeEngineConfig(),
    models: {
      foreign: toml("chat", chat, ["--ctx-size", "{context}", "--parallel", "{slots}", "--alias", "{name}"]),
      vectors: toml("embedding", embedding, ["--embeddings", "--pooling", "mean"]),
      judge: native(reranker),
      "no-judge": native(embedding),
    },
  });
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

// biome-ignore lint/suspicious/noExplicitAny: answers are read field by field, and a missing field must fail the test
async function post(path: string, body: object): Promise<{ status: number; text: string; json: any }> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  return { status: answer.status, text, json: text.startsWith("{") ? JSON.parse(text) : null };
}
const messages = [{ role: "user", content: "Name a river." }];

test("it chats, whole and streamed, over a loopback port", async () => {
  const whole = await post("/v1/chat/completions", { model: "foreign", messages, max_tokens: 8, temperature: 0 });
  expect([whole.status, whole.json.choices[0].message.content.length > 0]).toEqual([200, true]);
  const [instance] = readyInstances(await assistant.status(), "foreign");
  expect(instance).toMatchObject({ engine: "command", endpoint: expect.stringMatching(/^127\.0\.0\.1:\d+$/) });
  const stream = await post("/v1/chat/completions", { model: "foreign", messages, max_tokens: 8, stream: true });
  expect(stream.text).toMatch(/data: \[DONE\]\n\n$/);
});

test("a client that leaves ends the generation", async () => {
  const leaving = new AbortController();
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "foreign", messages, max_tokens: 400, stream: true, ignore_eos: true }),
    signal: leaving.signal,
  });
  await answer.body?.getReader().read();
  leaving.abort();
  const [instance] = readyInstances(await assistant.status(), "foreign");
  const slots = async (): Promise<{ is_processing: boolean }[]> =>
    (await (await fetch(`http://${instance?.endpoint}/slots`)).json()) as { is_processing: boolean }[];
  await eventually("its slot is free", async () => !(await slots()).some((slot) => slot.is_processing));
});

test("it makes embeddings", async () => {
  const { json } = await post("/v1/embeddings", { model: "vectors", input: "A river." });
  expect(json.data[0].embedding).toHaveLength(384);
});

test("llama-server ranks with a reranker: sorted, cut to top_n, with documents", async () => {
  const documents = ["Rain falls.", { text: "The Danube flows to the sea." }, "Bread and butter."];
  const body = { model: "judge", query: "rivers", documents, return_documents: true };
  const all = await post("/v1/rerank", body);
  expect(all.status).toBe(200);
  const scores = all.json.results.map((result: { relevance_score: number }) => result.relevance_score);
  expect(scores).toHaveLength(3);
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
  for (const { index, document } of all.json.results) {
    const written = documents[index];
    expect(document).toEqual(typeof written === "string" ? { text: written } : written);
  }
  expect(all.json.usage.prompt_tokens).toBeGreaterThan(10);
  const top = await post("/v1/rerank", { ...body, top_n: 1, return_documents: false });
  expect(top.json.results).toEqual([{ index: all.json.results[0].index, relevance_score: scores[0] }]);
  const score = await post("/v1/score", {
    model: "judge",
    text_1: "rivers",
    text_2: ["Rain falls.", "Bread and butter."],
  });
  const of = (index: number): number =>
    all.json.results.find((result: { index: number }) => result.index === index).relevance_score;
  expect(score.json.data).toEqual([
    { index: 0, object: "score", score: expect.closeTo(of(0), 3) },
    { index: 1, object: "score", score: expect.closeTo(of(2), 3) },
  ]);
});

test("a document that is longer than a batch is refused, naming the field", async () => {
  const long = "river ".repeat(900);
  const { status, json } = await post("/v1/rerank", { model: "judge", query: "rivers", documents: ["short", long] });
  expect([status, json]).toMatchObject([400, { error: { code: "context_length_exceeded", param: "documents" } }]);
});

test("a model without a classification head does not rank, and the error says why", async () => {
  const { status, text } = await post("/v1/rerank", { model: "no-judge", query: "rivers", documents: ["short"] });
  expect(status).toBeGreaterThanOrEqual(400);
  expect(text).toMatch(/is not a reranking model: it has no classification head/);
  const { models } = await assistant.status();
  expect(models.find(({ name }) => name === "no-judge")?.error).toMatch(/is not a reranking model/);
});
