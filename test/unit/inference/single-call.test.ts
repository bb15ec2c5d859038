import { expect, test } from "vitest";
import { singleCallSink, wantsSingleCall } from "../../../src/inference/single-call.ts";
import { chatCall, RecordingSink } from "../../support/calls.ts";

const event = (...choices: object[]): string => `data: ${JSON.stringify({ id: "1", choices })}\n\n`;
const calls = (index: number, ...parts: object[]): object => ({ index, delta: { tool_calls: parts } });

function streamed(text: string, step = text.length): string {
  const client = new RecordingSink();
  const sink = singleCallSink(client, true);
  sink.head(200, []);
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += step) sink.chunk(bytes.subarray(at, at + step));
  sink.end();
  return client.text;
}

test("each choice keeps its own first call", () => {
  const kept = [event(calls(0, { index: 0, id: "a" })), event(calls(1, { index: 0, id: "c" }))];
  const text = [kept[0], event(calls(0, { index: 1, id: "b" })), kept[1], event(calls(1, { index: 1, id: "d" }))];
  expect(streamed(text.join(""))).toBe(kept.join(""));
});

test("calls that a server does not number are told apart by their id", () => {
  const kept = [
    event(calls(0, { id: "a", function: { arguments: "{" } })),
    event(calls(0, { function: { arguments: "}" } })),
  ];
  const others = [
    event(calls(0, { id: "b", function: { arguments: "{" } })),
    event(calls(0, { function: { arguments: "}" } })),
  ];
  expect(streamed([...kept, ...others].join(""))).toBe(kept.join(""));
});

test("what an event has beside a further call stays, in whichever pieces it comes", () => {
  const first = event(calls(0, { index: 0, id: "a" }));
  const both = {
    index: 0,
    delta: { content: "Größe", tool_calls: [{ index: 1, id: "b" }] },
    finish_reason: "tool_calls",
  };
  const text = `: waiting\n\n${first}${event(both)}data: [DONE]\n\n`;
  const expected = `: waiting\n\n${first}${event({ ...both, delta: { content: "Größe" } })}data: [DONE]\n\n`;
  for (const step of [1, 7, 64, 1_000]) expect(streamed(text, step)).toBe(expected);
  expect(streamed(text.replaceAll("\n", "\r\n"))).toContain("[DONE]\r\n\r\n");
});

test("an answer that is no JSON passes as it is", () => {
  const client = new RecordingSink();
  const sink = singleCallSink(client, false);
  sink.head(200, ["content-type", "application/json"]);
  sink.end(Buffer.from('{"tool_calls"'));
  expect(client.text).toBe('{"tool_calls"');
});

test("only chats that limit their calls are read", () => {
  const of = (json: object, changes = {}): boolean =>
    wantsSingleCall(chatCall({ body: { json: json as Record<string, unknown>, bytes: Buffer.alloc(0) }, ...changes }));
  expect(of({ tools: [], parallel_tool_calls: false })).toBe(true);
  expect(of({ tools: [], parallel_tool_calls: true })).toBe(false);
  expect(of({ tools: [] })).toBe(false);
  expect(of({ parallel_tool_calls: false })).toBe(false);
  expect(of({ tools: [], parallel_tool_calls: false }, { wire: "llamacpp.tokens" })).toBe(false);
});
