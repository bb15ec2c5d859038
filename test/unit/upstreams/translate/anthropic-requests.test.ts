import { expect, test } from "vitest";
import { ENGINE_SAMPLING } from "../../../../src/core/model.ts";
import { anthropicWire } from "../../../fakes/dialects/anthropic-wire.ts";
import { plays } from "../../../fakes/dialects/server.ts";
import { testModel } from "../../../support/fake-engine.ts";
import { type AskOptions, ask, type Fields, WEATHER } from "../../../support/translated.ts";

/** What the provider was sent. */
async function sent(fields: Fields, options: AskOptions = {}): Promise<Record<string, unknown>> {
  const { request, failure } = await ask("anthropic", plays(anthropicWire.text), fields, options);
  if (request === null) throw failure ?? new Error("nothing was sent");
  return request.body;
}

test("the request has key, version and the provider's own headers", async () => {
  const { request } = await ask(
    "anthropic",
    plays(anthropicWire.text),
    {},
    { provider: { headers: { "x-team": "rivers" } } },
  );
  expect(request?.path).toBe("/messages");
  expect(request?.headers).toMatchObject({
    "x-api-key": "secret-key",
    "anthropic-version": "2023-06-01",
    "x-team": "rivers",
  });
});

test("a request that says nothing more gets the model's own limit, and no other setting", async () => {
  expect(await sent({})).toEqual({
    model: "claude-sonnet-4-5",
    max_tokens: 64_000,
    messages: [{ role: "user", content: [{ type: "text", text: "Name three rivers." }] }],
    stream: true,
  });
});

test("settings have Anthropic's names", async () => {
  const fields = { max_completion_tokens: 100, temperature: 0.2, top_k: 5, stop: ["END", "\n\n"], user: "u-1" };
  expect(await sent(fields)).toMatchObject({
    max_tokens: 100,
    temperature: 0.2,
    top_k: 5,
    stop_sequences: ["END", "\n\n"],
    metadata: { user_id: "u-1" },
  });
});

test("system and developer messages are the system prompt", async () => {
  const messages = [
    { role: "system", content: "Be brief." },
    { role: "developer", content: [{ type: "text", text: "In German." }] },
    { role: "user", content: "Hello." },
  ];
  expect(await sent({ messages })).toMatchObject({
    system: [
      { type: "text", text: "Be brief." },
      { type: "text", text: "In German." },
    ],
    messages: [{ role: "user", content: [{ type: "text", text: "Hello." }] }],
  });
});

test("images go as data or by their address", async () => {
  const content = [
    { type: "text", text: "What is this?" },
    { type: "image_url", image_url: { url: "data:image/png;base64,iVBORw0KGgo=", detail: "high" } },
    { type: "image_url", image_url: { url: "https://example.com/river?size=2" } },
  ];
  expect(await sent({ messages: [{ role: "user", content }] })).toMatchObject({
    messages: [
      {
        content: [
          { type: "text", text: "What is this?" },
          { type: "image", source: { type: "base64", media_type: "image/png", data: "iVBORw0KGgo=" } },
          { type: "image", source: { type: "url", url: "https://example.com/river?size=2" } },
        ],
      },
    ],
  });
});

test("documents go as data", async () => {
  const file = { file_data: "data:application/pdf;base64,JVBERi0=", filename: "rivers.pdf" };
  expect(await sent({ messages: [{ role: "user", content: [{ type: "file", file }] }] })).toMatchObject({
    messages: [
      {
        content: [
          {
            type: "document",
            title: "rivers.pdf",
            source: { type: "base64", media_type: "application/pdf", data: "JVBERi0=" },
          },
        ],
      },
    ],
  });
});

const call = (id: string, city: string, more: object = {}): object => ({
  id,
  type: "function",
  function: { name: "get_weather", arguments: JSON.stringify({ city }) },
  ...more,
});

test("tool calls and their results become blocks; signed thinking returns to its place before the first call", async () => {
  const thinking = [{ thinking: "Two cities.", signature: "c2lnbmVk" }, { redacted: "c2VjcmV0" }];
  const messages = [
    { role: "user", content: "Weather?" },
    {
      role: "assistant",
      content: "Let me look.",
      reasoning_content: "Two cities.",
      tool_calls: [call("t1", "Paris", { extra_content: { anthropic: { thinking } } }), call("t2", "Rome")],
    },
    { role: "tool", tool_call_id: "t1", content: "Rain" },
    { role: "tool", tool_call_id: "t2", content: [{ type: "text", text: "Sun" }] },
  ];
  const body = await sent({ messages, tools: [WEATHER] });
  expect(body["messages"]).toEqual([
    { role: "user", content: [{ type: "text", text: "Weather?" }] },
    {
      role: "assistant",
      content: [
        { type: "thinking", thinking: "Two cities.", signature: "c2lnbmVk" },
        { type: "redacted_thinking", data: "c2VjcmV0" },
        { type: "text", text: "Let me look." },
        { type: "tool_use", id: "t1", name: "get_weather", input: { city: "Paris" } },
        { type: "tool_use", id: "t2", name: "get_weather", input: { city: "Rome" } },
      ],
    },
    {
      role: "user",
      content: [
        { type: "tool_result", tool_use_id: "t1", content: "Rain" },
        { type: "tool_result", tool_use_id: "t2", content: "Sun" },
      ],
    },
  ]);
});

test.each([
  ["auto", { type: "auto" }],
  ["none", { type: "none" }],
  ["required", { type: "any" }],
  [
    { type: "function", function: { name: "get_weather" } },
    { type: "tool", name: "get_weather" },
  ],
])("tool_choice %j", async (choice, expected) => {
  const { tools, tool_choice } = await sent({ tools: [WEATHER], tool_choice: choice });
  expect(tools).toMatchObject([
    { name: "get_weather", description: "Weather of a city.", input_schema: WEATHER.function.parameters },
  ]);
  expect(tool_choice).toEqual(expected);
});

test("one tool at a time can be asked for", async () => {
  expect(await sent({ tools: [WEATHER], parallel_tool_calls: false })).toMatchObject({
    tool_choice: { type: "auto", disable_parallel_tool_use: true },
  });
});

const schema = {
  type: "object",
  properties: { rivers: { type: "array", items: { type: "string" } } },
  required: ["rivers"],
  additionalProperties: false,
};
const response_format = { type: "json_schema", json_schema: { name: "rivers", strict: true, schema } };

test("a schema is the format of the output", async () => {
  expect(await sent({ response_format })).toMatchObject({ output_config: { format: { type: "json_schema", schema } } });
});

test("llama.cpp's own field for a schema does the same", async () => {
  expect(await sent({ json_schema: schema })).toMatchObject({
    output_config: { format: { type: "json_schema", schema } },
  });
});

test("a model that has no formats has to call a tool instead, where the schema is not strict", async () => {
  const loose = { type: "json_schema", json_schema: { name: "rivers", schema } };
  const body = await sent({ response_format: loose }, { model: "claude-3-haiku-20240307" });
  expect(body).toMatchObject({
    tools: [{ name: "json", input_schema: schema }],
    tool_choice: { type: "any", disable_parallel_tool_use: true },
  });
});

test("an effort of reasoning is a share of the answer's limit, which stays what it was", async () => {
  expect(await sent({ reasoning_effort: "medium", max_tokens: 10_000 })).toMatchObject({
    thinking: { type: "enabled", budget_tokens: 3000 },
    max_tokens: 10_000,
  });
});

test("a budget of reasoning is passed on, within the answer's limit", async () => {
  expect(await sent({ thinking_budget_tokens: 2048, max_tokens: 4096 })).toMatchObject({
    thinking: { type: "enabled", budget_tokens: 2048 },
    max_tokens: 4096,
  });
});

test("models that choose themselves how much they think are told the effort", async () => {
  expect(await sent({ reasoning_effort: "high" }, { model: "claude-opus-4-6" })).toMatchObject({
    thinking: { type: "adaptive" },
    output_config: { effort: "high" },
  });
});

test.each([{ reasoning_effort: "none" }, { reasoning_budget_tokens: 0 }])("%j turns thinking off", async (fields) => {
  expect(await sent(fields)).toMatchObject({ thinking: { type: "disabled" } });
});

test("values that ask for nothing are left out", async () => {
  const fields = {
    ...{
      n: 1,
      logprobs: false,
      logit_bias: {},
      presence_penalty: 0,
      frequency_penalty: 0,
      seed: -1,
      top_p: 1,
      temperature: 1,
    },
    ...{ top_k: 0, stop: null, response_format: { type: "text" }, tools: [], parallel_tool_calls: true, store: false },
  };
  expect(Object.keys(await sent(fields)).sort()).toEqual(["max_tokens", "messages", "model", "stream"]);
});

test("sampling of the model's file gives way to what the model cannot do beside the request", async () => {
  const source = { type: "provider", offers: [] } as const;
  const sampling = { ...ENGINE_SAMPLING, temperature: 0.2, topK: 5 };
  const sending = { model: testModel({ name: "river", source, sampling }) };
  expect(await sent({}, { sending })).toMatchObject({ temperature: 0.2, top_k: 5 });
  const thinking = await sent({ reasoning_effort: "medium", max_tokens: 10_000 }, { sending });
  expect(thinking).not.toHaveProperty("temperature");
  expect(thinking).not.toHaveProperty("top_k");
});
