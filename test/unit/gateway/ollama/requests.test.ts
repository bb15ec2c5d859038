import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../../../src/core/inference.ts";
import type { ModelSpec } from "../../../../src/core/model.ts";
import { decodeEmbed, decodeEmbeddings } from "../../../../src/gateway/doors/ollama/embed.ts";
import type { OllamaOptions } from "../../../../src/gateway/doors/ollama/ports.ts";
import { keepAliveOf } from "../../../../src/gateway/doors/ollama/residency.ts";
import { decodeChat, decodeGenerate } from "../../../../src/gateway/doors/ollama/text.ts";
import { testModel } from "../../../support/fake-engine.ts";

const thinker = testModel({ name: "thinker", capabilities: { type: "chat", reasoning: true } });
const plain = testModel({ name: "llama3.2-1b", aliases: ["Small"], capabilities: { type: "chat", reasoning: false } });
const service = testModel({
  name: "cloud/gpt",
  source: { type: "provider", offers: [{ provider: "cloud", model: "gpt" }] },
} as Partial<ModelSpec>);
const models = [thinker, plain, service];
const options = {
  directory: {
    find: (name: string) => models.find((model) => model.name === name || model.aliases.includes(name)),
    all: () => models,
    createdAt: () => 0,
  },
} as unknown as OllamaOptions;

const bytes = (body: object): Buffer => Buffer.from(JSON.stringify(body));
const hello = [{ role: "user", content: "Hello" }];
const chat = (fields: object): JsonObject =>
  decodeChat(bytes({ model: "thinker", messages: hello, ...fields }), options).body.json;
const generate = (fields: object): JsonObject =>
  decodeGenerate(bytes({ model: "thinker", prompt: "Hello", ...fields }), options).body.json;

describe("names", () => {
  test.each([
    ["thinker", "thinker"],
    ["thinker:latest", "thinker"],
    ["Thinker", "thinker"],
    ["llama3.2:1b", "llama3.2-1b"],
    ["registry.ollama.ai/library/llama3.2:1b", "llama3.2-1b"],
    ["small:latest", "llama3.2-1b"],
    ["nothing:7b", "nothing:7b"],
  ])("%s is %s", (written, name) => {
    expect(chat({ model: written })["model"]).toBe(name);
  });
});

describe("streams", () => {
  test("are the default, and end with the usage", () => {
    expect(chat({})).toMatchObject({ stream: true, stream_options: { include_usage: true } });
    expect(decodeChat(bytes({ messages: hello }), options).streamed).toBe(true);
  });
  test("can be declined", () => {
    expect(chat({ stream: false })).not.toHaveProperty("stream");
  });
});

describe("options", () => {
  test("about sampling have the same names but for the limit of tokens", () => {
    const given = { temperature: 0.5, top_k: 3, repeat_last_n: 8, mirostat_tau: 2, seed: 7, stop: ["x"], min_p: 0.1 };
    expect(chat({ options: { ...given, num_predict: 9 } })).toMatchObject({ ...given, max_tokens: 9 });
  });
  test("fill the context where they ask for that or for no limit", () => {
    expect(chat({ options: { num_predict: -2 } })).toMatchObject({ max_tokens: -1 });
  });
  test("about loading, and null, have no effect", () => {
    const fields = chat({ options: { num_gpu: 99, use_mmap: true, num_keep: 4, temperature: null, num_ctx: 64 } });
    expect(Object.keys(fields).sort()).toEqual(["messages", "model", "stream", "stream_options"]);
  });
  test.each([
    [{ num_ctx: 10_000_000 }, "options.num_ctx", /tokens of context; "thinker" has \d+/],
    [{ temperature: "hot" }, "options.temperature", /must be a number from 0 to 2/],
    [{ num_predict: 1.5 }, "options.num_predict", /must be an integer/],
    [{ temprature: 1 }, "options.temprature", /Did you mean temperature/],
    [{ tfs_z: 0.5 }, "options.tfs_z", /No engine samples/],
    [{ n: 4 }, "options.n", /no option/],
  ])("%j are refused", (given, param, message) => {
    expect(() => chat({ options: given })).toThrow(
      expect.objectContaining({ param, message: expect.stringMatching(message) }),
    );
  });
  test("that do nothing in a sampler that is gone are taken", () => {
    expect(chat({ options: { tfs_z: 1, penalize_newline: true } })).not.toHaveProperty("tfs_z");
  });
});

describe("think", () => {
  test("sets the variable of templates, and a level besides", () => {
    expect(chat({ think: false })).toMatchObject({ chat_template_kwargs: { enable_thinking: false } });
    expect(chat({ think: "high" })).toMatchObject({
      chat_template_kwargs: { enable_thinking: true },
      reasoning_effort: "high",
    });
    expect(chat({ think: "max" })).toMatchObject({ reasoning_effort: "max" });
    expect(() => chat({ think: "maximum" })).toThrow(/"high" or "max"; found the string "maximum"/);
  });
  test("is an effort for services", () => {
    expect(chat({ model: "cloud/gpt", think: true })).toMatchObject({ reasoning_effort: "medium" });
    expect(chat({ model: "cloud/gpt", think: false })).toMatchObject({ reasoning_effort: "none" });
  });
  test("is refused by a model that does not reason, and false is not", () => {
    expect(() => chat({ model: "small", think: true })).toThrow(/does not support thinking/);
    expect(chat({ model: "small", think: false })).not.toHaveProperty("chat_template_kwargs");
  });
});

describe("format", () => {
  const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
  test("is JSON, or a JSON Schema", () => {
    expect(chat({ format: "json" })["response_format"]).toEqual({ type: "json_object" });
    expect(chat({ format: schema })["response_format"]).toEqual({
      type: "json_schema",
      json_schema: { name: "format", schema },
    });
    expect(generate({ format: schema, raw: true })).toMatchObject({ json_schema: schema });
  });
  test("that no grammar can follow is named as the client names it", () => {
    const { checked } = decodeChat(bytes({ messages: hello, format: { type: "strin" } }), options);
    expect(checked).toThrow(
      expect.objectContaining({ param: "format.type", message: expect.stringContaining('"format.type"') }),
    );
  });
  test("is nothing else", () => {
    expect(() => chat({ format: "xml" })).toThrow(/"json" or a JSON Schema/);
  });
});

describe("messages", () => {
  const image = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk";
  test("have images as parts", () => {
    const { messages } = chat({ messages: [{ role: "user", content: "What is it?", images: [image] }] });
    expect(messages).toEqual([
      {
        role: "user",
        content: [
          { type: "text", text: "What is it?" },
          { type: "image_url", image_url: { url: `data:image/png;base64,${image}` } },
        ],
      },
    ]);
  });
  test.each(["not base64!", "QUJD", "", "iVBORw0KGgo===", "iVBORw=0KGgo", "iVBORw0KGgo ", "="])(
    "refuse %j as an image",
    (wrong) => {
      expect(() => chat({ messages: [{ role: "user", images: [image, wrong] }] })).toThrow(
        expect.objectContaining({ param: "messages[0].images[1]" }),
      );
    },
  );
  test("join calls with their results by the name of the tool, then by order", () => {
    const call = (name: string) => ({ function: { name, arguments: { city: name } } });
    const { messages } = chat({
      messages: [
        { role: "assistant", content: "", thinking: "hm", tool_calls: [call("a"), call("b"), call("a")] },
        { role: "tool", tool_name: "b", content: "2" },
        { role: "tool", content: "1" },
        { role: "tool", tool_name: "a", content: "3" },
      ],
    });
    const [asked, ...results] = messages as Record<string, unknown>[];
    expect(asked).toMatchObject({
      reasoning_content: "hm",
      tool_calls: [
        { id: "call_1", type: "function", function: { name: "a", arguments: '{"city":"a"}' } },
        { id: "call_2" },
        { id: "call_3" },
      ],
    });
    expect(results.map((result) => result["tool_call_id"])).toEqual(["call_2", "call_1", "call_3"]);
  });
  test("keep the client's own ids of calls", () => {
    const { messages } = chat({
      messages: [
        { role: "assistant", tool_calls: [{ id: "x", function: { name: "a", arguments: {} } }] },
        { role: "tool", tool_call_id: "x", content: "1" },
      ],
    });
    expect(messages).toMatchObject([{ tool_calls: [{ id: "x" }] }, { tool_call_id: "x" }]);
  });
  test("refuse arguments that are text", () => {
    const called = [{ function: { name: "a", arguments: "{}" } }];
    expect(() => chat({ messages: [{ role: "assistant", tool_calls: called }] })).toThrow(
      expect.objectContaining({ param: "messages[0].tool_calls[0].function.arguments" }),
    );
  });
});

describe("/api/generate", () => {
  test("is a chat with the system prompt and the prompt", () => {
    expect(generate({ system: "Be short." })["messages"]).toEqual([
      { role: "system", content: "Be short." },
      { role: "user", content: "Hello" },
    ]);
  });
  test("continues a raw text", () => {
    const decoded = decodeGenerate(bytes({ prompt: "1 2 3", raw: true, logprobs: true }), options);
    expect(decoded).toMatchObject({ operation: "completion", wire: "openai.completion" });
    expect(decoded.body.json).toMatchObject({ prompt: "1 2 3", logprobs: 0 });
  });
  test.each([
    [{ template: "{{ .Prompt }}" }, "template"],
    [{ context: [1, 2] }, "context"],
    [{ raw: true, system: "x" }, "system"],
    [{ width: 64 }, "width"],
    [{ _debug_render_only: true }, "_debug_render_only"],
  ])("refuses %j", (fields, param) => {
    expect(() => generate(fields)).toThrow(expect.objectContaining({ param }));
  });
  test("refuses an unknown field where it would only load the model", () => {
    const wrong = { model: "m", message: [{ role: "user", content: "Hello" }] };
    expect(() => decodeChat(bytes(wrong), options)).toThrow(expect.objectContaining({ param: "message" }));
    expect(() => decodeGenerate(bytes({ model: "m", promt: "Hello" }), options)).toThrow(
      expect.objectContaining({ param: "promt", message: expect.stringContaining('no "prompt"') }),
    );
    expect(decodeChat(bytes({ model: "m", keep_alive: "5m", messages: [] }), options)).toHaveProperty("answer");
  });
  test.each([{ context: [] }, { template: "" }, { context: null }])("takes %j, which asks for nothing", (fields) => {
    expect(generate(fields)).toHaveProperty("messages");
  });
});

describe("embeddings", () => {
  test("are of one text or several", () => {
    expect(decodeEmbed(bytes({ model: "m", input: "a" }), options).body.json).toMatchObject({ input: ["a"] });
    expect(decodeEmbed(bytes({ model: "m", input: ["a", "b"] }), options).body.json).toMatchObject({
      input: ["a", "b"],
    });
    expect(decodeEmbeddings(bytes({ model: "m", prompt: "a" }), options).body.json).toMatchObject({ input: ["a"] });
  });
  test("of no text only load the model", () => {
    expect(decodeEmbed(bytes({ model: "m" }), options).answer).toBeTypeOf("function");
    expect(decodeEmbeddings(bytes({ model: "m", prompt: "" }), options).answer).toBeTypeOf("function");
  });
  test("refuse what is no text", () => {
    expect(() => decodeEmbed(bytes({ input: ["a", 1] }), options)).toThrow(
      expect.objectContaining({ param: "input[1]" }),
    );
  });
});

describe("keep_alive", () => {
  test.each([
    [undefined, null],
    [null, null],
    [0, 0],
    ["0", 0],
    ["0s", 0],
    [60, 60_000],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["1.5s", 1_500],
    [-1, Number.POSITIVE_INFINITY],
    ["-1m", Number.POSITIVE_INFINITY],
  ])("%j is %s ms", (value, ms) => {
    expect(keepAliveOf({ keep_alive: value })).toBe(ms);
  });
  test.each(["soon", "5 m", true, []])("refuses %j", (value) => {
    expect(() => keepAliveOf({ keep_alive: value })).toThrow(expect.objectContaining({ param: "keep_alive" }));
  });
});
