import { expect, test } from "vitest";
import { googleWire } from "../../../fakes/dialects/google-wire.ts";
import { plays } from "../../../fakes/dialects/server.ts";
import { ask, deltasOf, WEATHER } from "../../../support/translated.ts";

test("text is streamed as OpenAI's chunks, with usage where the client asks for it", async () => {
  const { events } = await ask("google", plays(googleWire.text), { stream_options: { include_usage: true } });
  expect(deltasOf(events)).toEqual([
    { role: "assistant", content: "" },
    { content: "Rhine, " },
    { content: "Elbe, " },
    { content: "Oder 🌊" },
    "stop",
  ]);
  expect(events.at(-2)).toMatchObject({
    usage: { prompt_tokens: 40, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 16 } },
  });
  expect(events.at(-1)).toBe("[DONE]");
});

test("thoughts are reasoning, and count as completion", async () => {
  const { events } = await ask("google", plays(googleWire.thinking), { reasoning_effort: "low" }, { streamed: false });
  expect(events[0]).toMatchObject({
    choices: [{ message: { content: "Paris and Rome.", reasoning_content: "Two cities, so two names." } }],
    usage: { completion_tokens: 16, completion_tokens_details: { reasoning_tokens: 11 } },
  });
});

test("parallel tool calls have Google's own place for the signature of what was thought", async () => {
  const { events } = await ask("google", plays(googleWire.tools), { tools: [WEATHER] });
  const called = { type: "function", function: { name: "get_weather", arguments: "" } };
  const extra_content = {
    google: { thought_signature: "EpEgCo4gAb4+9vvWwdN+NkNiCCwrqvFI8uf9IiD2A47Bm4Sga0kUTm4e" },
  };
  expect(deltasOf(events)).toEqual([
    { role: "assistant", content: null },
    { tool_calls: [{ index: 0, id: "call-a", ...called, extra_content }] },
    { tool_calls: [{ index: 0, function: { arguments: '{"city":"Paris"}' } }] },
    { tool_calls: [{ index: 1, id: "call-b", ...called }] },
    { tool_calls: [{ index: 1, function: { arguments: '{"city":"Rome"}' } }] },
    "tool_calls",
  ]);
});

test("a call without arguments has those of an empty object", async () => {
  const { events } = await ask("google", plays(googleWire.toolWithoutArguments), { tools: [WEATHER] });
  expect(deltasOf(events).slice(2)).toEqual([
    { tool_calls: [{ index: 0, function: { arguments: "{}" } }] },
    "tool_calls",
  ]);
});

test.each([
  ["STOP", "stop"],
  ["MAX_TOKENS", "length"],
  ["SAFETY", "content_filter"],
  ["RECITATION", "content_filter"],
  ["A_REASON_OF_THE_FUTURE", "stop"],
])("the finish reason %s is %s", async (reason, finish) => {
  const { events } = await ask("google", plays(googleWire.ended(reason)));
  expect(deltasOf(events).at(-1)).toBe(finish);
});

test("a prompt that is blocked is an answer that the filter ended", async () => {
  const { events } = await ask("google", plays(googleWire.blocked), {}, { streamed: false });
  expect(events[0]).toMatchObject({ choices: [{ message: { content: "" }, finish_reason: "content_filter" }] });
});

test.each([
  [
    "nothing at all and an unknown reason",
    googleWire.endedAtOnce("OTHER"),
    /gave no answer and stopped for the reason "OTHER"/,
  ],
  ["a call that it could not write", googleWire.endedAtOnce("MALFORMED_FUNCTION_CALL"), /"MALFORMED_FUNCTION_CALL"/],
  ["an image", googleWire.image, /a file of the type "image\/png", which a chat has no place for/],
])("%s is no answer", async (_, wire, message) => {
  const { failure, sink } = await ask("google", plays(wire), {}, { streamed: false });
  expect([failure?.reason.code, sink.status]).toEqual(["provider_error", null]);
  expect(failure?.reason.message).toMatch(message);
});
