import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Anthropic from "@anthropic-ai/sdk";
import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { streamFault } from "../support/anthropic-events.ts";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { hermesTemplate } from "../support/chat-templates.ts";
import { writeWithTemplate } from "../support/gguf-copy.ts";
import { chatModelFile } from "../support/model-files.ts";
import { bothEngines, chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

/** The API takes it, the client's types do not list it. */
const greedy = { temperature: 0 };
const question = [{ role: "user" as const, content: "Count from one to ten in words." }];
const weather = {
  name: "get_weather",
  description: "The weather in a city.",
  input_schema: {
    type: "object" as const,
    properties: { city: { type: "string", maxLength: 12 }, unit: { type: "string", enum: ["C", "F"] } },
    required: ["city", "unit"],
    additionalProperties: false,
  },
};

const called = {
  max_tokens: 120,
  ...greedy,
  tools: [weather],
  tool_choice: { type: "tool" as const, name: "get_weather" },
  messages: [{ role: "user" as const, content: "What is the weather in Oslo?" }],
};

let folder: string;
let assistant: TestAssistant;
let client: Anthropic;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-anthropic-"));
  const file = join(folder, "tools.gguf");
  await writeWithTemplate(await chatModelFile(), hermesTemplate, file);
  assistant = await installAssistant({
    models: Object.fromEntries(
      bothEngines.map((engine) => [engine, chatModelToml(file, engine).replace('"smol"', `"${engine}"`)]),
    ),
    config: nativeEngineConfig(),
  });
  client = new Anthropic({ baseURL: await assistant.serve(), apiKey: "unused", maxRetries: 0 });
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const eventsOf = async (
  params: Omit<Anthropic.MessageCreateParamsStreaming, "stream">,
): Promise<RawMessageStreamEvent[]> => {
  const events: RawMessageStreamEvent[] = [];
  for await (const event of await client.messages.create({ ...params, stream: true })) events.push(event);
  return events;
};

const failureOf = async (
  params: Anthropic.MessageCreateParamsNonStreaming,
): Promise<InstanceType<typeof Anthropic.APIError>> => {
  const failure = await client.messages.create(params).catch((error: unknown) => error);
  expect(failure).toBeInstanceOf(Anthropic.APIError);
  return failure as InstanceType<typeof Anthropic.APIError>;
};

describe.each(bothEngines)("the official Anthropic client against %s", (model) => {
  test("gives the same message streamed and not streamed", async () => {
    const params = { model, max_tokens: 12, ...greedy, messages: question };
    const whole = await client.messages.create(params);
    expect(whole).toMatchObject({ type: "message", role: "assistant", model, stop_reason: "max_tokens" });
    expect(whole._request_id).toBeTruthy();
    const streamed = await client.messages.stream(params).finalMessage();
    expect(streamed.content).toEqual(whole.content);
    expect(streamed.usage.output_tokens).toBe(12);
    const { input_tokens: fresh, cache_read_input_tokens: cached } = streamed.usage;
    expect(fresh + (cached ?? 0)).toBe(whole.usage.input_tokens + (whole.usage.cache_read_input_tokens ?? 0));
  });

  test("streams events in order, and counts the prompt in the first", async () => {
    const prompt = {
      system: [{ type: "text" as const, text: "Be brief.", cache_control: { type: "ephemeral" as const } }],
      messages: question,
    };
    const events = await eventsOf({
      model,
      max_tokens: 8,
      ...greedy,
      ...prompt,
    });
    expect(streamFault(events)).toBeNull();
    const { input_tokens: counted } = await client.messages.countTokens({ model, ...prompt });
    const [start] = events;
    if (start?.type !== "message_start") throw new Error("no start");
    const { input_tokens: fresh, cache_read_input_tokens: cached } = start.message.usage;
    expect(fresh + (cached ?? 0)).toBe(counted);
  });

  test("says which text ended the answer", async () => {
    const params = { model, max_tokens: 40, ...greedy, messages: question };
    const { content } = await client.messages.create(params);
    const text = content[0]?.type === "text" ? content[0].text : "";
    const stop = text.slice(6, 10);
    const stopped = await client.messages.create({ ...params, stop_sequences: ["never said", stop] });
    expect(stopped).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: stop });
    expect(stopped.content).toEqual([{ type: "text", text: text.slice(0, text.indexOf(stop)), citations: null }]);
    const streamed = await client.messages.stream({ ...params, stop_sequences: [stop] }).finalMessage();
    expect(streamed).toMatchObject({ stop_reason: "stop_sequence", stop_sequence: stop, content: stopped.content });
  });

  test("goes on from the last message without saying it again", async () => {
    const start = "The three primary colours are red,";
    const { content } = await client.messages.create({
      model,
      max_tokens: 8,
      ...greedy,
      messages: [
        { role: "user", content: "Name the primary colours." },
        { role: "assistant", content: start },
      ],
    });
    expect(content[0]?.type === "text" && content[0].text.startsWith(start)).toBe(false);
  });

  test("reads what a tool has answered", async () => {
    const { content, usage } = await client.messages.create({
      model,
      max_tokens: 4,
      ...greedy,
      tools: [weather],
      messages: [
        ...called.messages,
        { role: "assistant", content: [{ type: "tool_use", id: "toolu_1", name: "get_weather", input: {} }] },
        {
          role: "user",
          content: [
            { type: "tool_result", tool_use_id: "toolu_1", content: [{ type: "text", text: "4 degrees" }] },
            { type: "text", text: "So?" },
          ],
        },
      ],
    });
    expect(content.length).toBeGreaterThan(0);
    // The description of the tool is part of the prompt.
    expect(usage.input_tokens + (usage.cache_read_input_tokens ?? 0)).toBeGreaterThan(100);
  });

  test("a JSON Schema binds the answer", async () => {
    const { content } = await client.messages.create({
      model,
      max_tokens: 100,
      ...greedy,
      messages: [{ role: "user", content: "Give me a person." }],
      output_config: {
        format: {
          type: "json_schema",
          schema: {
            type: "object",
            properties: { name: { type: "string", maxLength: 20 }, age: { type: "integer" } },
            required: ["name", "age"],
            additionalProperties: false,
          },
        },
      },
    });
    const person = JSON.parse(content[0]?.type === "text" ? content[0].text : "") as Record<string, unknown>;
    expect(typeof person["name"]).toBe("string");
    expect(typeof person["age"]).toBe("number");
  });

  test("an image is refused by a model that takes none", async () => {
    const source = { type: "base64" as const, media_type: "image/png" as const, data: "iVBORw0KGgo=" };
    const failure = await failureOf({
      model,
      max_tokens: 8,
      messages: [{ role: "user", content: [{ type: "image", source }] }],
    });
    expect(failure).toBeInstanceOf(Anthropic.BadRequestError);
    expect(failure.error).toMatchObject({ type: "error", error: { type: "invalid_request_error" } });
    expect(failure.message).toContain("images");
  });

  test("a prompt over the context is refused in the words that agents know", async () => {
    const failure = await failureOf({
      model,
      max_tokens: 8,
      messages: [{ role: "user", content: "river ".repeat(4000) }],
    });
    expect(failure).toBeInstanceOf(Anthropic.BadRequestError);
    expect(failure.message).toMatch(/prompt is too long: \d+ tokens > \d+ maximum/);
  });

  test("an aborted stream frees the engine's slot", async () => {
    const stream = await client.messages.create({
      model,
      max_tokens: 1500,
      messages: [{ role: "user", content: "Write a very long story." }],
      stream: true,
    });
    for await (const event of stream) if (event.type === "content_block_delta") break;
    stream.controller.abort();
    await eventually("no request in flight", async () =>
      (await assistant.status()).instances.every((instance) => instance.inFlight === 0),
    );
  });
});

// llama-server lets text come before a call that is required, and so small a model never ends it.
test("a tool that is asked for is called, with its arguments in parts", async () => {
  const events: RawMessageStreamEvent[] = [];
  const stream = client.messages.stream({ ...called, model: "node-llama-cpp" });
  stream.on("streamEvent", (event) => events.push(event));
  const { content, stop_reason: reason } = await stream.finalMessage();
  expect(streamFault(events)).toBeNull();
  expect(reason).toBe("tool_use");
  expect(content).toMatchObject([{ type: "tool_use", name: "get_weather", id: expect.stringMatching(/^[\w-]+$/) }]);
  const [call] = content;
  expect(call?.type === "tool_use" && call.input).toMatchObject({
    city: expect.any(String),
    unit: expect.stringMatching(/^[CF]$/),
  });
});

test("an unknown model is a 404 of Anthropic's type", async () => {
  const failure = await failureOf({ model: "llama-servr", max_tokens: 8, messages: question });
  expect(failure).toBeInstanceOf(Anthropic.NotFoundError);
  expect(failure.error).toMatchObject({ error: { type: "not_found_error" } });
  expect(failure.message).toContain("llama-server");
});

test("the list of models is read page by page", async () => {
  const names: string[] = [];
  for await (const { id, type } of client.models.list({ limit: 1 })) names.push(`${type} ${id}`);
  expect(names.sort()).toEqual(["model llama-server", "model node-llama-cpp"]);
  expect((await client.models.retrieve("llama-server")).max_input_tokens).toBe(2048);
});
