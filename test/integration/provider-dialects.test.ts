import OpenAI from "openai";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { anthropicError, anthropicWire } from "../fakes/dialects/anthropic-wire.ts";
import { googleEmbeddings, googleWire } from "../fakes/dialects/google-wire.ts";
import {
  answers,
  type ProviderScript,
  type ProviderServer,
  plays,
  providerServer,
  stallsAfter,
} from "../fakes/dialects/server.ts";
import { installAssistant, type TestAssistant } from "../support/assistant.ts";
import { WEATHER } from "../support/translated.ts";

const messages = [{ role: "user" as const, content: "Weather in Paris and Rome?" }];
const CLAUDE = { type: "model", id: "claude-sonnet-4-5", display_name: "Claude Sonnet 4.5" };
const GEMINI = [
  { name: "models/gemini-2.5-flash", inputTokenLimit: 1_048_576, supportedGenerationMethods: ["generateContent"] },
  { name: "models/gemini-embedding-001", inputTokenLimit: 2048, supportedGenerationMethods: ["embedContent"] },
];

/** Answers the list of models; calls are left to the script of the moment. */
const service = (list: object) =>
  providerServer((response, request) => {
    if (request.path.startsWith("/models?")) answers(200, JSON.stringify(list))(response, request);
    else script(response, request);
  });
let script: ProviderScript;
let claude: ProviderServer;
let gemini: ProviderServer;
let assistant: TestAssistant;
let client: OpenAI;

beforeAll(async () => {
  claude = await service({ data: [CLAUDE], has_more: false });
  gemini = await service({ models: GEMINI });
  const entry = (name: string, type: string, { url }: ProviderServer): string =>
    `[[providers]]\nname = "${name}"\ntype = "${type}"\nbase_url = "${url}"\napi_key_env = "CLOUD_KEY"\n`;
  assistant = await installAssistant({
    config: `${entry("claude", "anthropic", claude)}\n${entry("gemini", "google", gemini)}`,
    env: { CLOUD_KEY: "secret-key" },
  });
  client = new OpenAI({ baseURL: `${await assistant.serve()}/v1`, apiKey: "unused", maxRetries: 0 });
});
afterAll(async () => {
  await assistant?.[Symbol.asyncDispose]();
  await claude?.[Symbol.asyncDispose]();
  await gemini?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  claude.requests.length = 0;
  gemini.requests.length = 0;
});

test("their models are listed beside one's own", async () => {
  const listed = await client.models.list();
  expect(listed.data.map(({ id }) => id).sort()).toEqual([
    "claude/claude-sonnet-4-5",
    "gemini/gemini-2.5-flash",
    "gemini/gemini-embedding-001",
  ]);
});

test.each([
  ["claude/claude-sonnet-4-5", anthropicWire.tools, '{"city": "Paris"}'],
  ["gemini/gemini-2.5-flash", googleWire.tools, '{"city":"Paris"}'],
])(
  "%s: OpenAI's own client puts streamed tool calls together, and its answer in one piece is the same",
  async (model, wire, input) => {
    script = plays(wire);
    const request = { model, messages, tools: [WEATHER as OpenAI.ChatCompletionTool] };
    const streamed = await client.chat.completions.stream(request).finalChatCompletion();
    const whole = await client.chat.completions.create(request);
    for (const { choices } of [streamed, whole]) {
      expect(choices[0]?.finish_reason).toBe("tool_calls");
      expect(choices[0]?.message.tool_calls?.map((call) => call.type === "function" && call.function)).toMatchObject([
        { name: "get_weather", arguments: input },
        { name: "get_weather", arguments: input.replace("Paris", "Rome") },
      ]);
    }
    expect(whole.usage?.completion_tokens).toBeGreaterThan(0);
  },
);

test("a conversation with tools goes back with what the model signed", async () => {
  const model = "claude/claude-sonnet-4-5";
  const tools = [WEATHER as OpenAI.ChatCompletionTool];
  script = plays(anthropicWire.tools);
  const { choices } = await client.chat.completions.create({ model, messages, tools, reasoning_effort: "low" });
  const answer = choices[0]?.message as OpenAI.ChatCompletionMessage;
  const results = (answer.tool_calls ?? []).map(({ id }) => ({
    role: "tool" as const,
    tool_call_id: id,
    content: "Rain",
  }));
  script = plays(anthropicWire.text);
  await client.chat.completions.create({ model, messages: [...messages, answer, ...results], tools });
  expect(claude.requests.at(-1)?.body["messages"]).toMatchObject([
    { role: "user" },
    { role: "assistant", content: [{ type: "thinking", signature: expect.any(String) }, { type: "text" }, {}, {}] },
    { role: "user", content: [{ type: "tool_result" }, { type: "tool_result" }] },
  ]);
});

test("embeddings", async () => {
  script = answers(200, googleEmbeddings([[0.5], [-0.25]]));
  const { data } = await client.embeddings.create({ model: "gemini/gemini-embedding-001", input: ["Rhine", "Elbe"] });
  expect(data.map(({ embedding }) => embedding)).toEqual([[0.5], [-0.25]]);
});

test("images at an address reach the provider, which fetches them", async () => {
  script = plays(anthropicWire.text);
  const image_url = { url: "https://example.com/river.png" };
  await client.chat.completions.create({
    model: "claude/claude-sonnet-4-5",
    messages: [{ role: "user", content: [{ type: "image_url", image_url }] }],
  });
  expect(claude.requests.at(-1)?.body["messages"]).toMatchObject([
    { content: [{ type: "image", source: { type: "url", url: image_url.url } }] },
  ]);
});

test("a field that cannot be obeyed is a 400 which names it, and the provider is not asked", async () => {
  const over = client.chat.completions.create({ model: "claude/claude-sonnet-4-5", messages, seed: 7 });
  await expect(over).rejects.toMatchObject({ status: 400, code: "invalid_request", param: "seed" });
  expect(claude.requests).toEqual([]);
});

test("an error within a stream is its last event", async () => {
  script = plays(anthropicWire.overloadedWithin);
  const stream = await client.chat.completions.create({ model: "claude/claude-sonnet-4-5", messages, stream: true });
  const pieces: unknown[] = [];
  const read = async (): Promise<void> => {
    for await (const chunk of stream) pieces.push(chunk.choices[0]?.delta.content);
  };
  await expect(read()).rejects.toMatchObject({ code: "provider_busy" });
  expect(pieces).toEqual(["", "Rhine"]);
});

test("a client that disconnects ends the work at the provider", async () => {
  script = stallsAfter(googleWire.cutOff);
  const stream = await client.chat.completions.create({ model: "gemini/gemini-2.5-flash", messages, stream: true });
  for await (const chunk of stream) if (chunk.choices[0]?.delta.content === "Rhine") break;
  await gemini.brokenOff;
});

test("a rejected key names the variable that holds it, and not the key", async () => {
  script = answers(401, anthropicError("authentication_error", "invalid x-api-key"));
  const over = client.chat.completions.create({ model: "claude/claude-sonnet-4-5", messages });
  await expect(over).rejects.toMatchObject({
    status: 502,
    code: "provider_rejected_key",
    message: expect.stringContaining("CLOUD_KEY"),
  });
  expect(await assistant.daemonLog()).not.toContain("secret-key");
});
