import type { RawMessageStreamEvent } from "@anthropic-ai/sdk/resources/messages";
import { describe, expect, test } from "vitest";
import { MessageTranslator } from "../../../../src/gateway/doors/anthropic/answer.ts";
import { translate } from "../../../../src/gateway/doors/anthropic/request.ts";
import { streamFault } from "../../../support/anthropic-events.ts";

const request = (fields: object = {}) =>
  translate({ model: "river", max_tokens: 100, messages: [{ role: "user", content: "Hi" }], ...fields });

const usage = { prompt_tokens: 30, completion_tokens: 7, prompt_tokens_details: { cached_tokens: 20 } };
const delta = (said: object, finish: string | null = null) => ({
  id: "chatcmpl-1",
  model: "river",
  choices: [{ index: 0, delta: said, finish_reason: finish }],
});

/** What a client reads of an answer with these chunks. */
function streamed(chunks: readonly object[], asked: object = {}): RawMessageStreamEvent[] {
  const translator = new MessageTranslator(request(asked));
  const text = chunks.map((chunk) => translator.chunk(chunk as never)).join("") + translator.end();
  return text
    .split("\n\n")
    .filter((event) => event !== "")
    .map((event) => {
      const [name = "", data = ""] = event.split("\n");
      const parsed = JSON.parse(data.replace("data: ", "")) as RawMessageStreamEvent;
      expect(name).toBe(`event: ${parsed.type}`);
      return parsed;
    });
}

const textOf = (events: readonly RawMessageStreamEvent[]): string =>
  events
    .map((event) => (event.type === "content_block_delta" && event.delta.type === "text_delta" ? event.delta.text : ""))
    .join("");
const endOf = (events: readonly RawMessageStreamEvent[]) => events.find((event) => event.type === "message_delta");

describe("a stream", () => {
  test("has Anthropic's events in their order, and its usage", () => {
    const events = streamed([
      { ...delta({ role: "assistant", content: null }), prompt_progress: { total: 30, cache: 20 } },
      delta({ role: "assistant", content: null }),
      delta({ content: "Hel" }),
      delta({ content: "lo" }),
      delta({}, "stop"),
      { choices: [], usage },
    ]);
    expect(streamFault(events)).toBeNull();
    expect(events.map(({ type }) => type as string)).toEqual([
      ...["message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta"],
      ...["content_block_stop", "message_delta", "message_stop"],
    ]);
    expect(events[0]).toMatchObject({
      message: { id: "msg_1", model: "river", content: [], usage: { input_tokens: 10, cache_read_input_tokens: 20 } },
    });
    expect(textOf(events)).toBe("Hello");
    expect(endOf(events)).toMatchObject({
      delta: { stop_reason: "end_turn", stop_sequence: null },
      usage: { input_tokens: 10, cache_read_input_tokens: 20, cache_creation_input_tokens: 0, output_tokens: 7 },
    });
  });

  test("sends a ping while the prompt is still evaluated", () => {
    const progress = { ...delta({ role: "assistant", content: null }), prompt_progress: { total: 30, cache: 0 } };
    const types = streamed([progress, progress, delta({ content: "a" })]).map(({ type }) => type as string);
    expect(types.slice(0, 3)).toEqual(["message_start", "ping", "content_block_start"]);
  });

  test("ends the block of thinking, with a signature, before the text begins", () => {
    const events = streamed([delta({ reasoning_content: "Hm." }), delta({ content: "Yes." }), delta({}, "stop")]);
    expect(streamFault(events)).toBeNull();
    const deltas = events.flatMap((event) => (event.type === "content_block_delta" ? [event.delta.type] : []));
    expect(deltas).toEqual(["thinking_delta", "signature_delta", "text_delta"]);
  });

  test("keeps the thinking to itself where it is to be omitted", () => {
    const thinking = { type: "adaptive", display: "omitted" };
    const events = streamed([delta({ reasoning_content: "Hm." }), delta({ content: "Yes." })], { thinking });
    expect(streamFault(events)).toBeNull();
    expect(JSON.stringify(events)).not.toContain("Hm.");
    expect(events).toContainEqual({
      type: "content_block_start",
      index: 0,
      content_block: expect.objectContaining({ type: "thinking" }),
    });
  });

  test("has a block for each of several tool calls, with the arguments in parts", () => {
    const events = streamed([
      delta({ content: "Well." }),
      delta({ tool_calls: [{ index: 0, id: "a", function: { name: "f", arguments: "" } }] }),
      delta({ tool_calls: [{ index: 0, function: { arguments: '{"x":' } }] }),
      delta({ tool_calls: [{ index: 0, function: { arguments: "1}" } }] }),
      delta({ tool_calls: [{ index: 1, id: "b", function: { name: "g", arguments: "{}" } }] }),
      delta({}, "tool_calls"),
    ]);
    expect(streamFault(events)).toBeNull();
    const starts = events.flatMap((event) => (event.type === "content_block_start" ? [event.content_block] : []));
    expect(starts).toMatchObject([
      { type: "text" },
      { type: "tool_use", id: "a", name: "f", input: {} },
      { type: "tool_use", id: "b", name: "g", input: {} },
    ]);
    const written = events.flatMap((event) =>
      event.type === "content_block_delta" && event.delta.type === "input_json_delta"
        ? [`${event.index}:${event.delta.partial_json}`]
        : [],
    );
    expect(written).toEqual(['1:{"x":', "1:1}", "2:{}"]);
    expect(endOf(events)).toMatchObject({ delta: { stop_reason: "tool_use" } });
  });

  test("carries what a provider wants back with a call, and brings it back", () => {
    const extra = { google: { thought_signature: "c2ln" } };
    const call = { index: 0, id: "a", function: { name: "f", arguments: "{}" }, extra_content: extra };
    const events = streamed([delta({ tool_calls: [call] }), delta({}, "tool_calls")]);
    expect(streamFault(events)).toBeNull();
    const content = events.flatMap((event) => (event.type === "content_block_start" ? [event.content_block] : []));
    const { json } = request({ messages: [{ role: "assistant", content }] });
    expect(json["messages"]).toMatchObject([{ tool_calls: [{ id: "a", extra_content: extra }] }]);
  });

  test("is whole even where nothing was said", () => {
    const events = streamed([delta({}, "stop")]);
    expect(streamFault(events)).toBeNull();
    expect(events.map(({ type }) => type)).toEqual(["message_start", "message_delta", "message_stop"]);
  });

  test("is complete where it begins like the message that it continues", () => {
    const messages = [
      { role: "user", content: "A list of lists, please." },
      { role: "assistant", content: "[" },
    ];
    const events = streamed([delta({ content: "[1]" }), delta({ content: ", [2]]" })], { messages });
    expect(streamFault(events)).toBeNull();
    expect(textOf(events)).toBe("[1], [2]]");
  });
});

test.each([
  ["stop", {}, { stop_reason: "end_turn", stop_sequence: null }],
  ["stop", { __verbose: { stopping_word: "END" } }, { stop_reason: "stop_sequence", stop_sequence: "END" }],
  ["length", { usage: { ...usage, completion_tokens: 100 } }, { stop_reason: "max_tokens" }],
  ["length", { usage }, { stop_reason: "model_context_window_exceeded" }],
  ["content_filter", {}, { stop_reason: "refusal" }],
])("%s with %j ends a whole message", (finish_reason, more, expected) => {
  const message = { role: "assistant", content: "Yes." };
  const answer = { id: "chatcmpl-1", model: "river", choices: [{ message, finish_reason }], ...more };
  expect(new MessageTranslator(request()).whole(answer)).toMatchObject({
    ...{ type: "message", role: "assistant", model: "river", ...expected },
    content: [{ type: "text", text: "Yes." }],
  });
});

test("vLLM's word for the text that ended an answer is understood", () => {
  const choice = { message: { content: "Yes." }, finish_reason: "stop", stop_reason: "END" };
  expect(new MessageTranslator(request()).whole({ choices: [choice] })).toMatchObject({ stop_sequence: "END" });
});

test("a whole message has thinking, text and calls as blocks", () => {
  const message = {
    reasoning_content: "Hm.",
    content: "Well.",
    tool_calls: [
      { id: "a", function: { name: "f", arguments: '{"x":1}' } },
      { id: "b", function: { name: "g", arguments: '{"cut o' } },
    ],
  };
  const { content } = new MessageTranslator(request()).whole({ choices: [{ message, finish_reason: "length" }] });
  expect(content).toEqual([
    { type: "thinking", thinking: "Hm.", signature: "" },
    { type: "text", text: "Well.", citations: null },
    { type: "tool_use", id: "a", name: "f", caller: { type: "direct" }, input: { x: 1 } },
    { type: "tool_use", id: "b", name: "g", caller: { type: "direct" }, input: {} },
  ]);
});
