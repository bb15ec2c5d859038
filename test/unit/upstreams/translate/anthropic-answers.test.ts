import { expect, test } from "vitest";
import { anthropicWire } from "../../../fakes/dialects/anthropic-wire.ts";
import { plays } from "../../../fakes/dialects/server.ts";
import { ask, deltasOf, WEATHER } from "../../../support/translated.ts";

test("text is streamed as OpenAI's chunks, which end with the finish reason and [DONE]", async () => {
  const { sink, events } = await ask("anthropic", plays(anthropicWire.text));
  expect(sink.status).toBe(200);
  expect(sink.headers).toContain("text/event-stream");
  expect(deltasOf(events)).toEqual([
    { role: "assistant", content: "" },
    { content: "Rhine, " },
    { content: "Elbe, " },
    { content: "Oder 🌊" },
    "stop",
  ]);
  expect(events[0]).toEqual({
    id: "chatcmpl-call-1",
    object: "chat.completion.chunk",
    created: expect.any(Number),
    model: "river",
    choices: [{ index: 0, delta: { role: "assistant", content: "" }, finish_reason: null }],
  });
  expect(events.at(-1)).toBe("[DONE]");
  expect(sink.ending).toBe("end");
});

test("usage comes before [DONE] where the client asks for it: cached tokens are part of the prompt", async () => {
  const { events } = await ask("anthropic", plays(anthropicWire.thinking), { stream_options: { include_usage: true } });
  expect(events.at(-2)).toMatchObject({
    choices: [],
    usage: {
      prompt_tokens: 129,
      completion_tokens: 30,
      total_tokens: 159,
      prompt_tokens_details: { cached_tokens: 100 },
      completion_tokens_details: { reasoning_tokens: 12 },
    },
  });
});

test("an answer in one piece has message, finish reason and usage", async () => {
  const { sink, events } = await ask("anthropic", plays(anthropicWire.text), {}, { streamed: false });
  expect(sink.headers).toContain("application/json; charset=utf-8");
  expect(events).toEqual([
    {
      id: "chatcmpl-call-1",
      object: "chat.completion",
      created: expect.any(Number),
      model: "river",
      choices: [{ index: 0, message: { role: "assistant", content: "Rhine, Elbe, Oder 🌊" }, finish_reason: "stop" }],
      usage: {
        prompt_tokens: 129,
        completion_tokens: 15,
        total_tokens: 144,
        prompt_tokens_details: { cached_tokens: 100 },
        completion_tokens_details: { reasoning_tokens: 0 },
      },
    },
  ]);
});

const SIGNED = {
  anthropic: {
    thinking: [
      { thinking: "Two cities, so two calls.", signature: "EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds" },
    ],
  },
};

test("parallel tool calls are streamed with index, id and name, then fragments of their arguments", async () => {
  const { events } = await ask("anthropic", plays(anthropicWire.tools), { tools: [WEATHER] });
  const [first, second] = ["toolu_01A09q90qw90lq917835lq9", "toolu_01B23r45st67uv89wx01yz2"];
  const called = { type: "function", function: { name: "get_weather", arguments: "" } };
  expect(deltasOf(events)).toEqual([
    { role: "assistant", content: null },
    { reasoning_content: "Two cities, " },
    { reasoning_content: "so two calls." },
    { content: "Let me look." },
    { tool_calls: [{ index: 0, id: first, ...called, extra_content: SIGNED }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"city":' } }] },
    { tool_calls: [{ index: 0, function: { arguments: ' "Pa' } }] },
    { tool_calls: [{ index: 0, function: { arguments: 'ris"}' } }] },
    { tool_calls: [{ index: 1, id: second, ...called }] },
    { tool_calls: [{ index: 1, function: { arguments: '{"city": "Rome"}' } }] },
    "tool_calls",
  ]);
});

test("tool calls of an answer in one piece keep the signed thinking that the next request needs", async () => {
  const { events } = await ask("anthropic", plays(anthropicWire.tools), { tools: [WEATHER] }, { streamed: false });
  expect(events[0]).toMatchObject({
    choices: [
      {
        finish_reason: "tool_calls",
        message: {
          content: "Let me look.",
          reasoning_content: "Two cities, so two calls.",
          tool_calls: [
            { function: { name: "get_weather", arguments: '{"city": "Paris"}' }, extra_content: SIGNED },
            { function: { name: "get_weather", arguments: '{"city": "Rome"}' } },
          ],
        },
      },
    ],
  });
});

test("a call without arguments has those of an empty object", async () => {
  const { events } = await ask("anthropic", plays(anthropicWire.toolWithoutArguments), { tools: [WEATHER] });
  expect(deltasOf(events).slice(1, 3)).toEqual([
    { tool_calls: [expect.objectContaining({ index: 0, function: { name: "list_rivers", arguments: "" } })] },
    { tool_calls: [{ index: 0, function: { arguments: "{}" } }] },
  ]);
});

test("JSON that comes as the input of a forced tool is the text of the answer", async () => {
  const schema = { type: "object", properties: { rivers: { type: "array", items: { type: "string" } } } };
  const response_format = { type: "json_schema", json_schema: { name: "rivers", schema } };
  const { events } = await ask(
    "anthropic",
    plays(anthropicWire.jsonTool),
    { response_format },
    { model: "claude-3-haiku-20240307", streamed: false },
  );
  expect(events[0]).toMatchObject({
    choices: [{ message: { content: '{"rivers":["Rhine"]}' }, finish_reason: "stop" }],
  });
});

test.each([
  ["end_turn", "stop"],
  ["stop_sequence", "stop"],
  ["max_tokens", "length"],
  ["model_context_window_exceeded", "length"],
  ["refusal", "content_filter"],
  ["a_reason_of_the_future", "stop"],
])("the stop reason %s is the finish reason %s", async (reason, finish) => {
  const { events } = await ask("anthropic", plays(anthropicWire.ended(reason)));
  expect(deltasOf(events).at(-1)).toBe(finish);
});

test("events of types that are newer than the client are passed over", async () => {
  const { events, failure } = await ask("anthropic", plays(anthropicWire.unknownEvents));
  expect([failure, ...deltasOf(events)]).toEqual([
    null,
    { role: "assistant", content: "" },
    { content: "Rhine" },
    "stop",
  ]);
});
