import { readFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createEngineProbe } from "../../src/engines/index.ts";
import { embeddingModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess, longPrompt } from "./engine-process.ts";

interface Reference {
  readonly cases: readonly { readonly input: string; readonly embedding: readonly number[] }[];
}

describe.each(bothEngines)("embeddings by %s", (id) => {
  let engine: EngineProcess;
  let cases: Reference["cases"];
  beforeAll(async () => {
    const files = await embeddingModelFile();
    cases = (JSON.parse(await readFile(files.reference, "utf8")) as Reference).cases;
    const load = { contextTokens: 256, batchTokens: 512, microBatchTokens: 512, pooling: "mean" } as const;
    engine = await EngineProcess.start(id, files.model, { kind: "embedding", load });
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test("equal the reference vectors", async () => {
    const { status, body } = await engine.post("/v1/embeddings", {
      input: cases.map((one) => one.input),
      model: "minilm",
    });
    expect(status).toBe(200);
    expect(body).toMatchObject({ object: "list", model: "minilm" });
    expect(body.usage.total_tokens).toBe(body.usage.prompt_tokens);
    for (const [index, one] of cases.entries()) {
      expect(body.data[index]).toMatchObject({ object: "embedding", index });
      expect(cosine(body.data[index].embedding, one.embedding)).toBeGreaterThan(1 - 1e-3);
      expect(Math.hypot(...body.data[index].embedding)).toBeCloseTo(1, 4);
    }
  });

  test("come as base64 where that is asked for", async () => {
    const [one] = cases;
    const { body } = await engine.post("/v1/embeddings", { input: one?.input ?? "", encoding_format: "base64" });
    const bytes = Buffer.from(body.data[0].embedding, "base64");
    const vector = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4));
    expect(cosine(vector, one?.embedding ?? [])).toBeGreaterThan(1 - 1e-3);
  });

  test("many requests at once all get their own vector", async () => {
    const answers = await Promise.all(cases.map((one) => engine.post("/v1/embeddings", { input: one.input })));
    for (const [index, one] of cases.entries())
      expect(cosine(answers[index]?.body.data[0].embedding, one.embedding)).toBeGreaterThan(1 - 1e-3);
    expect(await engine.busySlots()).toBe(0);
  });

  test("an input longer than the context is refused", async () => {
    const { status, body } = await engine.post("/v1/embeddings", { input: longPrompt(400) });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ type: "exceed_context_size_error", n_ctx: 256 });
  });

  test("no input, or one of a wrong type, is refused", async () => {
    expect((await engine.post("/v1/embeddings", {})).status).toBe(400);
    // llama-server calls a wrong type its own failure; the gateway has refused it before.
    for (const body of [{ input: 7 }, { input: [] }])
      expect((await engine.post("/v1/embeddings", body)).status).toBeGreaterThanOrEqual(400);
  });

  test("the fleet's probe gets a real vector", async () => {
    await createEngineProbe().token(engine.socketPath, "embedding", AbortSignal.timeout(30_000));
  });

  test("text generation is not what an embedding model does", async () => {
    const { status, body } = await engine.post("/v1/chat/completions", { messages: [{ role: "user", content: "Hi" }] });
    expect(status).toBeGreaterThanOrEqual(500);
    expect(body.error.message).toMatch(/embedding|logits/iu);
  });
});

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, index) => sum + value * (b[index] ?? 0), 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}
