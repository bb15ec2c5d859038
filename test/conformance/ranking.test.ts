import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createEngineProbe } from "../../src/engines/index.ts";
import { embeddingModelFile } from "../support/model-files.ts";
import { withRankHead } from "../support/rank-head.ts";
import { EngineProcess, longPrompt } from "./engine-process.ts";

let folder: string;
let native: EngineProcess;
let embedded: EngineProcess;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "ranking-"));
  const file = join(folder, "ranks.gguf");
  await withRankHead((await embeddingModelFile()).model, file);
  const load = { contextTokens: 128, batchTokens: 128, microBatchTokens: 128 };
  const start = (id: "llama-server" | "node-llama-cpp") => EngineProcess.start(id, file, { kind: "rerank", load });
  [native, embedded] = await Promise.all([start("llama-server"), start("node-llama-cpp")]);
});
afterAll(async () => {
  await native?.[Symbol.asyncDispose]();
  await embedded?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

interface Ranked {
  readonly index: number;
  readonly relevance_score: number;
}

test("both engines give documents the same scores, from as many tokens", async () => {
  const body = { query: "Which rivers are there?", documents: ["Amazon and Nile are rivers.", "mud", "Brot, Käse"] };
  const [one, other] = await Promise.all([native.post("/v1/rerank", body), embedded.post("/v1/rerank", body)]);
  expect([one.status, other.status]).toEqual([200, 200]);
  const scores = ({ results }: { readonly results: readonly Ranked[] }): number[] =>
    [...results].sort((a, b) => a.index - b.index).map(({ relevance_score: score }) => score);
  for (const [index, score] of scores(one.body).entries()) expect(scores(other.body)[index]).toBeCloseTo(score, 3);
  expect(other.body.usage).toEqual(one.body.usage);
});

test("the embedded engine refuses what does not fit, is no list of texts, or is not ranking", async () => {
  const refused = async (path: string, body: object) => (await embedded.post(path, body)).body.error;
  expect(await refused("/v1/rerank", { query: "a", documents: [longPrompt(300)] })).toMatchObject({
    ...{ code: 400, type: "exceed_context_size_error", n_ctx: 128 },
  });
  expect((await refused("/v1/rerank", { query: "a", documents: [1] })).message).toMatch(/'documents': must hold texts/);
  expect((await refused("/v1/rerank", { documents: ["a"] })).message).toBe("'query' is required");
  expect(await refused("/v1/embeddings", { input: "a" })).toMatchObject({
    ...{ code: 501, message: "This instance serves a reranking model, which does not make embeddings." },
  });
});

test("the fleet's probe is answered with a score", async () => {
  await createEngineProbe().token(embedded.socketPath, "rerank", AbortSignal.timeout(30_000));
});
