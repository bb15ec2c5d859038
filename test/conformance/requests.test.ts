import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { ErrorBody } from "../../src/api/status.ts";
import { embeddingModel, type TestGateway, testGateway } from "../support/gateway.ts";
import { embeddingModelFile, quickChatModelFile } from "../support/model-files.ts";
import { EngineProcess } from "./engine-process.ts";

const hi = [{ role: "user", content: "Hi" }];

/** What a client gets that asks the daemon's door, with a real llama-server behind it. */
class Asked implements AsyncDisposable {
  readonly engine: EngineProcess;
  readonly #gateway: TestGateway;

  private constructor(engine: EngineProcess, gateway: TestGateway) {
    this.engine = engine;
    this.#gateway = gateway;
    gateway.dispatcher.socketPaths = [engine.socketPath];
  }

  static async start(...spawn: Parameters<typeof EngineProcess.start>): Promise<Asked> {
    return new Asked(await EngineProcess.start(...spawn), await testGateway(() => {}));
  }

  // biome-ignore lint/suspicious/noExplicitAny: answers are read field by field, and a missing field must fail the test
  async post(path: string, body: object | string): Promise<{ status: number; body: any }> {
    const answer = await this.text(path, body);
    return { status: answer.status, body: JSON.parse(answer.text) };
  }

  async text(path: string, body: object | string): Promise<{ status: number; text: string }> {
    const sent = typeof body === "string" ? Buffer.from(body, "latin1") : JSON.stringify(body);
    const answer = await fetch(this.#gateway.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: sent,
    });
    return { status: answer.status, text: await answer.text() };
  }

  async refusal(path: string, body: object | string): Promise<[number, string, string | null]> {
    const { status, body: answer } = await this.post(path, body);
    const { error } = answer as ErrorBody;
    return [status, error?.code, error?.param];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#gateway[Symbol.asyncDispose]();
    await this.engine[Symbol.asyncDispose]();
  }
}

describe("a chat model", () => {
  let asked: Asked;
  beforeAll(async () => {
    asked = await Asked.start("llama-server", await quickChatModelFile());
  });
  afterAll(() => asked[Symbol.asyncDispose]());
  const chat = "/v1/chat/completions";
  const short = { messages: hi, max_tokens: 8, temperature: 0 };

  test.each<[string, string | null, object, string?]>([
    [
      "tools, of which its template knows nothing",
      "tools",
      { tools: [{ type: "function", function: { name: "f" } }] },
      "unsupported_capability",
    ],
    [
      "an image",
      "messages",
      {
        messages: [
          { role: "user", content: [{ type: "image_url", image_url: { url: "data:image/png;base64,AAAA" } }] },
        ],
      },
      "unsupported_capability",
    ],
    [
      "sound",
      "messages",
      {
        messages: [{ role: "user", content: [{ type: "input_audio", input_audio: { data: "AAAA", format: "wav" } }] }],
      },
      "unsupported_capability",
    ],
    ["a grammar that is none", "grammar", { grammar: "nonsense" }],
    ["more answers than slots", "n", { n: 3 }],
  ])("%s: 400", async (_, param, fields, code = "invalid_request") => {
    expect(await asked.refusal(chat, { ...short, ...fields })).toEqual([400, code, param]);
  });

  test("a prompt that is too long is refused with both lengths", async () => {
    const { status, body } = await asked.post(chat, {
      messages: [{ role: "user", content: "river stone ".repeat(800) }],
    });
    expect([status, body.error.code, body.error.n_ctx]).toEqual([400, "context_length_exceeded", 1024]);
    expect(body.error.n_prompt_tokens).toBeGreaterThan(1500);
  });

  test.each([
    ["half a surrogate pair", JSON.stringify(short).replace("Hi", "Hi\\ud83d")],
    ["a byte that is not UTF-8", JSON.stringify(short).replace("Hi", "Hi\xff")],
    [
      "nulls in messages",
      JSON.stringify({
        ...short,
        messages: [
          { role: "user", content: "Hi", name: null, tool_calls: null, tool_call_id: null, reasoning_content: null },
        ],
      }),
    ],
    [
      "nulls for fields",
      JSON.stringify({
        ...short,
        tools: null,
        tool_choice: null,
        stop: null,
        response_format: null,
        reasoning_format: null,
        seed: null,
        grammar: null,
        n: null,
      }),
    ],
    ["a seed of 64 bits", JSON.stringify(short).replace(/\}$/, ',"seed":9007199254740993}')],
    [
      "tools that are not to be called",
      JSON.stringify({
        ...short,
        tools: [{ type: "function", function: { name: "f", description: null } }],
        tool_choice: "none",
      }),
    ],
  ])("%s: answered", async (_, body) => {
    expect(await asked.post(chat, body)).toMatchObject({ status: 200, body: { object: "chat.completion" } });
  });

  test("two answers are counted together, streamed or not", async () => {
    const { body } = await asked.post(chat, { ...short, n: 2 });
    expect(body.choices).toHaveLength(2);
    expect(body.usage.completion_tokens).toBe(16);
    const { text } = await asked.text(chat, { ...short, n: 2, stream: true, stream_options: { include_usage: true } });
    const counted = text.split("\n\n").filter((event) => event.includes('"usage"'));
    expect(counted.map((event) => JSON.parse(event.slice("data: ".length)).usage.completion_tokens)).toEqual([16]);
  });

  test("a stream of several prompts holds objects alone", async () => {
    const { text } = await asked.text("/v1/completions", {
      prompt: ["One, two,", "A, b,"],
      max_tokens: 3,
      stream: true,
    });
    expect(text).not.toContain("data: null");
    expect(text).toContain('"index":1');
  });

  test("text completions have logprobs in their own shape", async () => {
    const { body } = await asked.post("/v1/completions", {
      prompt: "One, two,",
      max_tokens: 3,
      temperature: 0,
      logprobs: 2,
    });
    const { tokens, token_logprobs, top_logprobs, text_offset } = body.choices[0].logprobs;
    expect(tokens.join("")).toBe(body.choices[0].text);
    expect([token_logprobs.length, Object.keys(top_logprobs[0]).length, text_offset[0]]).toEqual([3, 2, 0]);
  });

  test.each<[string, object, (value: unknown) => void]>([
    [
      "a class by letter",
      { type: "string", pattern: "^\\d{3}-\\d{4}$" },
      (value) => expect(value).toMatch(/^\d{3}-\d{4}$/),
    ],
    [
      "a class of what is not",
      { type: "string", pattern: "^[^a-z\\s]{4}$" },
      (value) => expect(value).toMatch(/^[^a-z\s]{4}$/),
    ],
    ["any characters", { type: "string", pattern: "^.{5}$" }, (value) => expect(value).toMatch(/^.{5}$/)],
    [
      "a root that is within itself",
      {
        type: "object",
        properties: { name: { type: "string", maxLength: 5 }, child: { anyOf: [{ $ref: "#" }, { type: "null" }] } },
        required: ["name", "child"],
      },
      (value) => expect(Object.keys(value as object)).toEqual(["name", "child"]),
    ],
  ])("a JSON Schema with %s is kept to", async (_, schema, check) => {
    const { status, body } = await asked.post(chat, {
      ...short,
      messages: [{ role: "user", content: "Answer null for child. Give a telephone number." }],
      max_tokens: 80,
      response_format: { type: "json_schema", json_schema: { name: "s", schema } },
    });
    expect(status).toBe(200);
    if (body.choices[0].finish_reason === "stop") check(JSON.parse(body.choices[0].message.content));
  });

  test("what would end it or hold it never reaches it", async () => {
    for (const fields of [
      { samplers: ["infill"] },
      { repeat_last_n: 2 ** 31 - 1, repeat_penalty: 1.1 },
      { grammar: `root ::= ${"(".repeat(100_000)}` },
      { grammar_triggers: [{ type: 99, value: "x" }] },
      { dry_multiplier: 1, dry_sequence_breakers: Array(100_000).fill("\n") },
      { json_schema: { enum: Array.from({ length: 20_000 }, (_, index) => `v${index}`) } },
      { json_schema: { type: "string", pattern: "^(((((a{0,9}){0,9}){0,9}){0,9}){0,9})$" } },
    ]) {
      const [status, code] = await asked.refusal(chat, { ...short, ...fields });
      expect([status, code]).toEqual([400, "invalid_request"]);
    }
    expect(await asked.post(chat, short)).toMatchObject({ status: 200 });
  });
});

describe("an embedding model", () => {
  let asked: Asked;
  beforeAll(async () => {
    const { model } = await embeddingModelFile();
    asked = await Asked.start("llama-server", model, {
      kind: "embedding",
      load: { contextTokens: 256, batchTokens: 128, microBatchTokens: 128 },
    });
  });
  afterAll(() => asked[Symbol.asyncDispose]());
  const ask = (fields: object) =>
    asked.post("/v1/embeddings", { model: embeddingModel.name, input: "river", ...fields });

  test("an input longer than a batch is too long, with both lengths", async () => {
    const { status, body } = await ask({ input: "river ".repeat(150) });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({
      code: "context_length_exceeded",
      param: "input",
      n_prompt_tokens: 152,
      n_ctx: 128,
    });
  });

  test("dimensions are the model's own, or refused", async () => {
    expect((await ask({ dimensions: 384 })).body.data[0].embedding).toHaveLength(384);
    const { status, body } = await ask({ dimensions: 100 });
    expect([status, body.error.param, body.error.message.includes("384")]).toEqual([400, "dimensions", true]);
  });

  test("null stands for what is not given", async () => {
    expect((await ask({ encoding_format: null, dimensions: null, user: null })).body.data[0].embedding).toHaveLength(
      384,
    );
  });
});
