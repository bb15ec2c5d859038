import { Ajv } from "ajv";
import addFormats from "ajv-formats";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { checkSchema } from "../../src/gateway/canonical/schema.ts";
import { quickChatModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess } from "./engine-process.ts";

const person = {
  type: "object",
  properties: {
    name: { type: "string", maxLength: 20 },
    age: { type: "integer" },
    role: { enum: ["cook", "pilot"] },
    tags: { type: "array", items: { type: "string", maxLength: 8 }, minItems: 1, maxItems: 2 },
  },
  required: ["name", "age", "role", "tags"],
  additionalProperties: false,
};
const messages = [{ role: "user", content: "Describe Anna, a cook of 44 years." }];

describe.each(bothEngines)("structured answers by %s", (id) => {
  let engine: EngineProcess;
  beforeAll(async () => {
    engine = await EngineProcess.start(id, await quickChatModelFile(), { load: { slots: 1 } });
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test("a JSON Schema is followed, streamed and whole", async () => {
    const request = {
      messages,
      max_tokens: 200,
      temperature: 0,
      response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema: person } },
    };
    const whole = await engine.post("/v1/chat/completions", request);
    expect(whole.body.choices[0].finish_reason).toBe("stop");
    const events = await engine.stream("/v1/chat/completions", request);
    for (const text of [
      whole.body.choices[0].message.content,
      events.map((event) => event.choices[0]?.delta.content ?? "").join(""),
    ]) {
      const value = JSON.parse(text);
      expect(Object.keys(value).sort()).toEqual(["age", "name", "role", "tags"]);
      expect(Number.isInteger(value.age)).toBe(true);
      expect(["cook", "pilot"]).toContain(value.role);
      expect(value.tags.length).toBeGreaterThanOrEqual(1);
      expect(value.tags.length).toBeLessThanOrEqual(2);
    }
  });

  test("a format goes on behind the message that is continued, or is refused", async () => {
    const { status, body } = await engine.post("/v1/chat/completions", {
      messages: [...messages, { role: "assistant", content: '{"name":' }],
      ...{ add_generation_prompt: false, continue_final_message: true },
      max_tokens: 200,
      temperature: 0,
      response_format: { type: "json_schema", json_schema: { name: "person", strict: true, schema: person } },
    });
    if (id === "node-llama-cpp") {
      expect(status).toBe(400);
      expect(body.error.message).toContain("not supported by the embedded engine");
    } else expect(Object.keys(JSON.parse(body.choices[0].message.content))).toContain("role");
  });

  test("alternatives, references and nested objects are followed", async () => {
    const schema = {
      type: "object",
      $defs: { point: { type: "object", properties: { x: { type: "integer" } }, required: ["x"] } },
      properties: { at: { $ref: "#/$defs/point" }, kind: { anyOf: [{ const: "dot" }, { type: "null" }] } },
      required: ["at", "kind"],
    };
    const { body } = await engine.post("/v1/chat/completions", {
      messages,
      max_tokens: 100,
      temperature: 0,
      response_format: { type: "json_schema", json_schema: { schema } },
    });
    const value = JSON.parse(body.choices[0].message.content);
    expect(Number.isInteger(value.at.x)).toBe(true);
    expect(["dot", null]).toContain(value.kind);
  });

  test("json_object gives an object", async () => {
    const request = {
      messages: [{ role: "user", content: 'Write {"a": 1} and nothing else.' }],
      max_tokens: 200,
      temperature: 0,
      response_format: { type: "json_object" },
    };
    const { body } = await engine.post("/v1/chat/completions", request);
    if (body.choices[0].finish_reason === "stop")
      expect(JSON.parse(body.choices[0].message.content)).toBeTypeOf("object");
    expect(body.choices[0].message.content.trimStart()).toMatch(/^\{/u);
  });

  test("a grammar is matched, by chat and by completions", async () => {
    const grammar = 'root ::= "colour: " ("red" | "blue") " " [0-9] [0-9]';
    const chat = await engine.post("/v1/chat/completions", { messages, max_tokens: 40, temperature: 0.8, grammar });
    expect(chat.body.choices[0].message.content).toMatch(/^colour: (red|blue) \d\d$/u);
    const text = await engine.post("/v1/completions", {
      prompt: "My bike:",
      max_tokens: 40,
      temperature: 0.8,
      grammar,
    });
    expect(text.body.choices[0].text).toMatch(/^colour: (red|blue) \d\d$/u);
  });

  test("a grammar that is none is refused", async () => {
    const { status, body } = await engine.post("/v1/chat/completions", { messages, grammar: "root ::= (" });
    expect(status).toBe(400);
    expect(body.error).toMatchObject({ code: 400, type: "invalid_request_error" });
  });
});

test("formats of strings are followed by llama-server", async () => {
  await using engine = await EngineProcess.start("llama-server", await quickChatModelFile(), { load: { slots: 1 } });
  const formats = ["email", "ipv4", "ipv6", "duration", "hostname"];
  const given = {
    type: "object",
    properties: {
      ...Object.fromEntries(formats.map((format) => [format, { type: "string", format }])),
      day: { type: "string", format: "date", pattern: "^20[0-9]{2}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9])$" },
    },
    required: [...formats, "day"],
    additionalProperties: false,
  };
  const { body } = await engine.post("/v1/chat/completions", {
    messages,
    max_tokens: 700,
    temperature: 0,
    response_format: { type: "json_schema", json_schema: { name: "formats", schema: checkSchema(given, "schema") } },
  });
  const isValid = addFormats.default(new Ajv()).compile(given);
  const value: unknown = JSON.parse(body.choices[0].message.content);
  expect([value, isValid(value)]).toEqual([value, true]);
});

describe.each(bothEngines)("a model's own sampling settings with %s", (id) => {
  test("hold where a request says nothing, and give way where it does", async () => {
    const sampling = { temperature: 0, maxTokens: 5, stop: ["zzz"], grammar: 'root ::= "ab" [0-9]*' };
    await using engine = await EngineProcess.start(id, await quickChatModelFile(), { sampling });
    const silent = await engine.post("/v1/chat/completions", { messages });
    expect(silent.body.usage.completion_tokens).toBeLessThanOrEqual(5);
    expect(silent.body.choices[0].message.content).toMatch(/^ab\d*$/u);
    const own = await engine.post("/v1/chat/completions", { messages, max_tokens: 2, grammar: 'root ::= "cd"' });
    expect(own.body.choices[0].message.content).toBe("cd");
  });

  test("stop strings are taken as they are written, backslashes too", async () => {
    await using engine = await EngineProcess.start(id, await quickChatModelFile(), {
      sampling: { stop: ["\\n", "x\ny"] },
    });
    const { body } = await engine.post("/v1/completions", {
      prompt: "Path",
      max_tokens: 30,
      temperature: 0,
      grammar: 'root ::= "C:" "\\n" "ew\\\\net"',
    });
    expect(body.choices[0].text).toBe("C:\new");
    expect(body.choices[0].finish_reason).toBe("stop");
  });
});
