import { expect, test } from "vitest";
import { testModel } from "../support/fake-engine.ts";
import { embeddingModel, startGateway, type TestGateway } from "../support/gateway.ts";
import { chunk, jsonAnswer, LAST_CHUNK } from "../support/scripted-upstream.ts";

const judge = testModel({ name: "judge", kind: "rerank" });
const usage = { prompt_tokens: 30, total_tokens: 30 };
const ranked = (...scores: readonly (number | null)[]): string =>
  JSON.stringify({
    ...{ model: "judge", object: "list", usage },
    results: scores.map((relevance_score, index) => ({ index, relevance_score })),
  });

let running: TestGateway | null = null;

const start = async (answer: string): Promise<TestGateway> => {
  running = await startGateway((socket) => socket.end(answer), { models: [judge, embeddingModel] });
  return running;
};
const post = (path: string, body: object): Promise<Response> =>
  fetch(`${running?.url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });

test("documents come back in order of their scores, as many as were asked for, and with their text", async () => {
  const { upstream, lines } = await start(jsonAnswer(ranked(-3.5, 7.25, 0)));
  const documents = ["mud", { text: "water", source: "b.txt" }, "rain"];
  const answer = await post("/v1/rerank", {
    model: "judge",
    query: "wet?",
    documents,
    top_n: 2,
    return_documents: true,
  });
  expect(await answer.json()).toMatchObject({
    object: "list",
    model: "judge",
    usage,
    results: [
      { index: 1, relevance_score: 7.25, document: { text: "water", source: "b.txt" } },
      { index: 2, relevance_score: 0, document: { text: "rain" } },
    ],
  });
  const [sent] = upstream.requests;
  expect(sent?.head).toMatch(/^POST \/v1\/rerank HTTP/);
  expect(JSON.parse(sent?.body ?? "")).toEqual({ model: "judge", query: "wet?", documents: ["mud", "water", "rain"] });
  expect(lines.find(({ message }) => message === "request")).toMatchObject({
    ...{ route: "/v1/rerank", model: "judge", promptTokens: 30, status: 200, end: "complete" },
  });
});

test("without return_documents there are none, and the path answers without /v1 too", async () => {
  await start(
    `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${chunk(ranked(1, 2))}${LAST_CHUNK}`,
  );
  const { results } = (await (await post("/rerank", { query: "wet?", documents: ["a", "b"] })).json()) as {
    results: unknown;
  };
  expect(results).toEqual([
    { index: 1, relevance_score: 2 },
    { index: 0, relevance_score: 1 },
  ]);
});

test("scores are in the order of the texts", async () => {
  const { upstream } = await start(jsonAnswer(ranked(-3.5, 7.25)));
  const answer = await post("/v1/score", { model: "judge", text_1: ["wet?"], text_2: ["mud", "water"] });
  expect(await answer.json()).toMatchObject({
    object: "list",
    data: [
      { index: 0, object: "score", score: -3.5 },
      { index: 1, object: "score", score: 7.25 },
    ],
    usage,
  });
  expect(JSON.parse(upstream.requests[0]?.body ?? "")).toEqual({
    model: "judge",
    query: "wet?",
    documents: ["mud", "water"],
  });
});

test("pairs of texts are ranked query by query, and their scores are in the order of the pairs", async () => {
  const answers = [ranked(1, 3), ranked(2)];
  running = await startGateway((socket) => socket.end(jsonAnswer(answers.shift() ?? "")), { models: [judge] });
  const answer = await post("/v1/score", { text_1: ["wet?", "dry?", "wet?"], text_2: ["mud", "sand", "water"] });
  expect(await answer.json()).toMatchObject({
    data: [
      { index: 0, score: 1 },
      { index: 1, score: 2 },
      { index: 2, score: 3 },
    ],
    usage: { prompt_tokens: 60, total_tokens: 60 },
  });
  expect(running.upstream.requests.map(({ body }) => JSON.parse(body))).toMatchObject([
    { query: "wet?", documents: ["mud", "water"] },
    { query: "dry?", documents: ["sand"] },
  ]);
  expect(running.lines.find(({ message }) => message === "request")).toMatchObject({ promptTokens: 60 });
});

test.each([
  ["a score that is no number", jsonAnswer(ranked(null))],
  ["no JSON", jsonAnswer("<html>")],
  ["no results", jsonAnswer('{"object":"list"}')],
])("an engine that answers with %s has failed", async (_what, answer) => {
  await start(answer);
  const response = await post("/v1/rerank", { query: "wet?", documents: ["a"] });
  expect(response.status).toBe(502);
  expect(await response.json()).toMatchObject({ error: { code: "engine_error" } });
});

test("a document that does not fit a batch is the client's mistake, and named", async () => {
  const error = {
    code: 500,
    message: "input (900 tokens) is too large to process. increase the physical batch size (current batch size: 512)",
    type: "server_error",
  };
  await start(jsonAnswer(JSON.stringify({ error }), "500 Internal Server Error"));
  const response = await post("/v1/rerank", { query: "wet?", documents: ["a"] });
  expect(response.status).toBe(400);
  expect(await response.json()).toMatchObject({
    error: { code: "context_length_exceeded", param: "documents", n_prompt_tokens: 900, n_ctx: 512 },
  });
});

test("other models do not rank, and a reranker does nothing else", async () => {
  const { upstream } = await start(jsonAnswer("{}"));
  const ranking = await post("/v1/rerank", { model: "vectors", query: "wet?", documents: ["a"] });
  expect(await ranking.json()).toMatchObject({
    error: {
      code: "wrong_model_kind",
      message: expect.stringMatching(/does not rank documents.*For this, use "judge"/),
    },
  });
  const chat = await post("/v1/chat/completions", { model: "judge", messages: [{ role: "user", content: "Hi" }] });
  expect(await chat.json()).toMatchObject({ error: { code: "wrong_model_kind" } });
  expect(upstream.requests).toEqual([]);
});
