import { expect, test } from "vitest";
import type { InferenceCall } from "../../../../src/core/inference.ts";
import { SendFailure } from "../../../../src/core/upstream.ts";
import { googleEmbedding, googleEmbeddings, googleError } from "../../../fakes/dialects/google-wire.ts";
import { answers, type ProviderScript, providerServer } from "../../../fakes/dialects/server.ts";
import { chatCall, RecordingSink, sendingOf } from "../../../support/calls.ts";
import { connected, type DialectName } from "../../../support/translated.ts";

const embeddingCall = (fields: object): InferenceCall => {
  const json = { model: "river", ...fields };
  const body = { json, bytes: Buffer.from(JSON.stringify(json)) };
  return chatCall({ operation: "embedding", wire: "openai.embedding", streamed: false, body, maxTokens: 0 });
};

async function embed(script: ProviderScript, fields: object, dialect: DialectName = "google") {
  await using server = await providerServer(script);
  using connection = connected(dialect, server.url, { model: "gemini-embedding-001" });
  const sink = new RecordingSink();
  const error = await connection.upstream.send(sendingOf(embeddingCall(fields)), sink).then(
    () => null,
    (reason: unknown) => reason,
  );
  const failure = error instanceof SendFailure ? error.reason : null;
  return { requests: server.requests, failure, answer: sink.text === "" ? null : JSON.parse(sink.text) };
}

test("one text", async () => {
  const { requests, answer } = await embed(answers(200, googleEmbedding([0.5, -0.25])), {
    input: "Rhine",
    dimensions: 2,
  });
  expect(requests).toMatchObject([
    {
      path: "/models/gemini-embedding-001:embedContent",
      headers: { "x-goog-api-key": "secret-key" },
      body: { content: { parts: [{ text: "Rhine" }] }, outputDimensionality: 2 },
    },
  ]);
  expect(answer).toEqual({
    object: "list",
    data: [{ object: "embedding", index: 0, embedding: [0.5, -0.25] }],
    model: "river",
    usage: { prompt_tokens: 0, total_tokens: 0 },
  });
});

test("several texts, in base64", async () => {
  const { answer } = await embed(answers(200, googleEmbeddings([[0.5], [-0.25]])), {
    input: ["Rhine", "Elbe"],
    encoding_format: "base64",
  });
  const vectors = answer.data.map(({ embedding }: { embedding: string }) =>
    Buffer.from(embedding, "base64").readFloatLE(),
  );
  expect(vectors).toEqual([0.5, -0.25]);
});

test("more texts than the provider takes at once go in several requests", async () => {
  const script: ProviderScript = (response, { body }) => {
    const texts = (body["requests"] as { content: { parts: { text: string }[] } }[]).map(
      ({ content }) => content.parts[0]?.text ?? "",
    );
    answers(200, googleEmbeddings(texts.map((text) => [Number(text)])))(response, { path: "", headers: {}, body });
  };
  const input = Array.from({ length: 150 }, (_, index) => String(index));
  const { requests, answer } = await embed(script, { input });
  expect(requests).toHaveLength(2);
  expect(answer.data.map(({ embedding }: { embedding: number[] }) => embedding[0])).toEqual(input.map(Number));
});

test.each([
  ["input", { input: [[1, 2, 3]] }],
  ["input", {}],
  ["dimensions", { input: "x", dimensions: "3" }],
  ["encoding_format", { input: "x", encoding_format: "hex" }],
  ["embd_normalize", { input: "x", embd_normalize: 1 }],
])("%s that cannot be obeyed is refused", async (param, fields) => {
  const { failure, requests } = await embed(answers(500, "{}"), fields);
  expect([failure?.code, failure?.param, requests]).toEqual(["invalid_request", param, []]);
});

test("a provider without embeddings says so", async () => {
  const { failure } = await embed(answers(500, "{}"), { input: "x" }, "anthropic");
  expect([failure?.code, failure?.status]).toEqual(["wrong_model_kind", 400]);
});

test("a failure keeps its meaning", async () => {
  const { failure } = await embed(answers(429, googleError(429, "RESOURCE_EXHAUSTED", "Quota exceeded")), {
    input: "x",
  });
  expect(failure?.code).toBe("provider_busy");
});

test.each(["anthropic", "google"] as const)("%s: continuing a text is another operation", async (dialect) => {
  using connection = connected(dialect, "http://127.0.0.1:1");
  const json = { prompt: "The Rhine" };
  const call = chatCall({ operation: "completion", wire: "openai.completion", body: { json, bytes: Buffer.from("") } });
  const over = connection.upstream.send(sendingOf(call), new RecordingSink());
  await expect(over).rejects.toMatchObject({ reason: { code: "wrong_model_kind", status: 400 }, retry: "never" });
});
