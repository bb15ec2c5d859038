import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quickChatModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess, longPrompt } from "./engine-process.ts";

/** Small: every token of it costs 10 to 25 ms of a core. */
const CONTEXT_TOKENS = 256;
const hi = [{ role: "user", content: "Hi" }];

describe.each(bothEngines)("refusals of %s", (id) => {
  let engine: EngineProcess;
  beforeAll(async () => {
    engine = await EngineProcess.start(id, await quickChatModelFile(), { load: { contextTokens: CONTEXT_TOKENS } });
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test.each([
    ["no messages", {}],
    ["messages that are no list", { messages: "Hi" }],
    ["a message without content", { messages: [{ role: "user" }] }],
    ["a temperature in words", { messages: hi, temperature: "hot" }],
    ["max_tokens in words", { messages: hi, max_tokens: "few" }],
    ["an unknown response format", { messages: hi, response_format: { type: "poem" } }],
    ["more answers than slots", { messages: hi, n: 3 }],
  ])("%s: 400 with a message", async (_name, body) => {
    const { status, body: answer } = await engine.post("/v1/chat/completions", body);
    expect(status).toBe(400);
    expect(answer.error).toMatchObject({ code: 400, type: "invalid_request_error" });
    expect(answer.error.message.length).toBeGreaterThan(10);
  });

  test.each(["", "{", "[1]"])("the body %j is refused and the engine lives on", async (text) => {
    const { status, body } = await engine.post("/v1/chat/completions", text);
    expect(status).toBeGreaterThanOrEqual(400);
    expect(body.error.message.length).toBeGreaterThan(10);
    expect((await engine.get("/health")).body).toEqual({ status: "ok" });
  });

  test("a prompt longer than the context is refused with both lengths, streamed or not", async () => {
    for (const stream of [false, true]) {
      const { status, body } = await engine.post("/v1/chat/completions", {
        messages: [{ role: "user", content: longPrompt(400) }],
        stream,
      });
      expect(status).toBe(400);
      expect(body.error).toMatchObject({ code: 400, type: "exceed_context_size_error", n_ctx: CONTEXT_TOKENS });
      expect(body.error.n_prompt_tokens).toBeGreaterThan(400);
    }
  });

  test("an answer ends at the end of the context, and nothing is forgotten for it", async () => {
    const prompt = longPrompt(220);
    const { body } = await engine.post("/v1/completions", {
      prompt,
      max_tokens: 500,
      temperature: 0,
      ignore_eos: true,
    });
    expect(body.choices[0].finish_reason).toBe("length");
    expect(body.usage.total_tokens).toBe(CONTEXT_TOKENS);
  });

  test("embeddings are not what a chat model does", async () => {
    const { status, body } = await engine.post("/v1/embeddings", { input: "x" });
    expect(status).toBe(501);
    expect(body.error.type).toBe("not_supported_error");
  });

  test("an unknown path: 404", async () => {
    const { status, body } = await engine.get("/v1/nothing");
    expect(status).toBe(404);
    expect(body.error).toMatchObject({ code: 404, type: "not_found_error" });
  });
});

describe("refusals of the embedded engine alone", () => {
  let engine: EngineProcess;
  beforeAll(async () => {
    engine = await EngineProcess.start("node-llama-cpp", await quickChatModelFile());
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test.each([
    ["tools that the template has no place for", { tools: [{ type: "function", function: { name: "f" } }] }],
    ["probabilities after sampling", { n_probs: 1, post_sampling_probs: true }],
    ["mirostat", { mirostat: 2 }],
    ["adaptive sampling", { adaptive_target: 0.5 }],
    ["another order of samplers", { samplers: ["top_k"] }],
    ["a limit of thinking", { reasoning_budget_tokens: 5 }],
    ["an answer that ends after some time", { t_max_predict_ms: 10 }],
    [
      "a schema keyword it cannot keep",
      { response_format: { type: "json_schema", json_schema: { schema: { type: "string", pattern: "^a" } } } },
    ],
  ])("%s: says that the native engine can", async (_name, fields) => {
    const { status, body } = await engine.post("/v1/chat/completions", { messages: hi, ...fields });
    expect(status).toBe(400);
    expect(body.error.message).toContain("not supported by the embedded engine");
    expect(body.error.message).toContain("assistant engine build");
  });
});
