import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { hermesTemplate } from "../support/chat-templates.ts";
import { writeWithTemplate } from "../support/gguf-copy.ts";
import { quickChatModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess } from "./engine-process.ts";

const weather = {
  type: "function",
  function: {
    name: "get_weather",
    description: "The weather in a city.",
    parameters: {
      type: "object",
      properties: { city: { type: "string", maxLength: 12 }, unit: { type: "string", enum: ["C", "F"] } },
      required: ["city", "unit"],
      additionalProperties: false,
    },
  },
};
const time = { type: "function", function: { name: "get_time", parameters: { type: "object", properties: {} } } };
const messages = [{ role: "user", content: "What is the weather in Oslo?" }];
const asked = { messages, tools: [weather], tool_choice: "required", temperature: 0, max_tokens: 120 };

interface ToolCall {
  readonly index?: number;
  readonly id?: string;
  readonly type?: string;
  readonly function: { readonly name?: string; readonly arguments: string };
}

/** The small model with a template that has a place for tools. */
let folder = "";
let file = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "tools-"));
  file = join(folder, "tools.gguf");
  await writeWithTemplate(await quickChatModelFile(), hermesTemplate, file);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe.each(bothEngines)("tools in prompts of %s", (id) => {
  let engine: EngineProcess;
  beforeAll(async () => {
    engine = await EngineProcess.start(id, file, { load: { contextTokens: 2048 } });
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test("tools are part of the prompt, and earlier calls and their results too", async () => {
    const history = [
      ...messages,
      {
        role: "assistant",
        content: null,
        tool_calls: [
          {
            id: "call_1",
            type: "function",
            function: { name: "get_weather", arguments: '{"city":"Oslo","unit":"C"}' },
          },
        ],
      },
      { role: "tool", tool_call_id: "call_1", content: "4 degrees, rain" },
    ];
    const { body } = await engine.post("/apply-template", { messages: history, tools: [weather] });
    expect(body.prompt).toContain('"name": "get_weather"');
    expect(body.prompt.replaceAll(/\s/g, "")).toContain(
      '<tool_call>{"name":"get_weather","arguments":{"city":"Oslo","unit":"C"}}</tool_call>',
    );
    expect(body.prompt).toContain("4 degrees, rain");
    const answer = await engine.post("/v1/chat/completions", {
      messages: history,
      tools: [weather],
      temperature: 0,
      max_tokens: 16,
    });
    expect(answer.status).toBe(200);
  });

  test("calls without results at the end of a chat are not left out", async () => {
    const call = { id: "call_1", type: "function", function: { name: "get_time", arguments: "{}" } };
    const history = [...messages, { role: "assistant", content: "Hm.", tool_calls: [call] }];
    const { status, body } = await engine.post("/apply-template", { messages: history, tools: [time] });
    expect(status === 400 ? body.error.message : body.prompt).toMatch(
      status === 400 ? /contains tool calls/ : /<tool_call>\s*{"name": "get_time"/,
    );
  });

  test("what is not to be called is not in the prompt", async () => {
    const { body } = await engine.post("/v1/chat/completions", { ...asked, tool_choice: "none", max_tokens: 8 });
    expect(body.choices[0].message.tool_calls ?? []).toEqual([]);
    expect(body.choices[0].message.content.length).toBeGreaterThan(0);
  });

  test("a call that is required comes at once, with arguments that fit their schema", async () => {
    const { status, body } = await engine.post("/v1/chat/completions", asked);
    expect(status).toBe(200);
    const { content, tool_calls: calls } = body.choices[0].message as {
      content: string | null;
      tool_calls: ToolCall[];
    };
    expect(content ?? "").toBe("");
    expect(calls[0]).toMatchObject({ type: "function", function: { name: "get_weather" } });
    expect(calls[0]?.id?.length).toBeGreaterThan(3);
    const given = JSON.parse(calls[0]?.function.arguments ?? "") as { city: string; unit: string };
    expect(Object.keys(given).toSorted()).toEqual(["city", "unit"]);
    expect(["C", "F"]).toContain(given.unit);
  });

  test("arguments need not follow what a grammar cannot express, unless the function is strict", async () => {
    const parameters = {
      type: "object",
      properties: { city: { type: "string", maxLength: 12, format: "city" }, days: { type: "number", minimum: 1 } },
      required: ["city", "days"],
    };
    const forecast = { type: "function", function: { name: "get_forecast", parameters } };
    const { status, body } = await engine.post("/v1/chat/completions", { ...asked, tools: [forecast] });
    expect(status).toBe(200);
    const [call] = body.choices[0].message.tool_calls as ToolCall[];
    expect(JSON.parse(call?.function.arguments ?? "")).toEqual({ city: expect.any(String), days: expect.any(Number) });
  });

  test("the engine says whether its template has a place for tools", async () => {
    const { body } = await engine.get("/props");
    expect(body.chat_template_caps.supports_tools).toBe(true);
  });
});

// llama-server lets further calls follow, and so small a model never stops.
describe("calls by node-llama-cpp", () => {
  let engine: EngineProcess;
  beforeAll(async () => {
    engine = await EngineProcess.start("node-llama-cpp", file, { load: { contextTokens: 2048 } });
  });
  afterAll(() => engine[Symbol.asyncDispose]());

  test("an answer ends with the call", async () => {
    const { body } = await engine.post("/v1/chat/completions", asked);
    expect(body.choices[0]).toMatchObject({
      finish_reason: "tool_calls",
      message: { tool_calls: [{ type: "function" }] },
    });
  });

  test("a stream tells name and id once, and then the arguments in parts", async () => {
    const whole = await engine.post("/v1/chat/completions", asked);
    const events = await engine.stream("/v1/chat/completions", asked);
    const parts = events.flatMap((event) => (event.choices[0]?.delta.tool_calls ?? []) as ToolCall[]);
    expect(parts[0]).toMatchObject({ index: 0, type: "function", function: { name: "get_weather" } });
    expect(parts.filter((part) => part.id !== undefined)).toHaveLength(1);
    expect(new Set(parts.map((part) => part.index))).toEqual(new Set([0]));
    const written = parts.map((part) => part.function.arguments ?? "").join("");
    expect(JSON.parse(written)).toEqual(JSON.parse(whole.body.choices[0].message.tool_calls[0].function.arguments));
    expect(events.some((event) => event.choices[0]?.finish_reason === "tool_calls")).toBe(true);
    expect(events.map((event) => event.choices[0]?.delta.content ?? "").join("")).toBe("");
  });

  test("one of several is called", async () => {
    const { body } = await engine.post("/v1/chat/completions", { ...asked, tools: [time, weather] });
    expect(["get_time", "get_weather"]).toContain(body.choices[0].message.tool_calls[0].function.name);
  });
});
