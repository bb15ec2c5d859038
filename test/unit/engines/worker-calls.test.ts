import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CallOptions, CallReader, type CallSyntax } from "../../../src/engines/node-llama-cpp/worker/calls.ts";
import type { Piece } from "../../../src/engines/node-llama-cpp/worker/reader.ts";

const hermes: CallSyntax = {
  start: '<tool_call>\n{"name": "',
  middle: '", "arguments": ',
  end: "}\n</tool_call>",
};
const llama: CallSyntax = { start: '{"name": "', middle: '", "parameters": ', end: "" };
const options: CallOptions = { names: ["rain", "rainfall"], required: false, parallel: false, stops: [] };

const call = (name: string, json: string, { start, middle, end }: CallSyntax = hermes): string =>
  start + name + middle + json + end;

interface Read {
  readonly content: string;
  readonly calls: readonly { readonly name: string; readonly arguments: string }[];
  readonly ended: boolean;
}

/** Reads text that comes in the given parts. */
function read(parts: readonly string[], more: Partial<CallOptions> = {}, syntax = hermes): Read {
  const reader = new CallReader(syntax, { ...options, ...more });
  const pieces: Piece[] = [];
  for (const part of parts) if (!reader.ended) pieces.push(...reader.push(part));
  const { ended } = reader;
  pieces.push(...reader.finish());
  const calls: { name: string; arguments: string }[] = [];
  let content = "";
  for (const piece of pieces) {
    if (piece.type === "content") content += piece.text;
    else if (piece.type === "call") calls.push({ name: piece.name, arguments: "" });
    else if (calls[piece.index]) (calls[piece.index] as { arguments: string }).arguments += piece.text;
  }
  return { content, calls, ended };
}

describe("calls in an answer", () => {
  test("a call ends the answer where only one may be made", () => {
    expect(read([call("rain", '{"where": "}\\"{"}'), " and more"])).toEqual({
      content: "",
      calls: [{ name: "rain", arguments: '{"where": "}\\"{"}' }],
      ended: true,
    });
  });

  test("the longer of two names is not taken for the shorter one", () => {
    expect(read([call("rainfall", "{}")]).calls).toEqual([{ name: "rainfall", arguments: "{}" }]);
  });

  test("content before a call is kept, without the blanks between", () => {
    expect(read([`I look.\n${call("rain", "{}")}`])).toMatchObject({ content: "I look.", calls: [{ name: "rain" }] });
  });

  test("several calls, with nothing but blanks between", () => {
    const text = `${call("rain", '{"a":1}')}\n${call("rainfall", '{"b":[{}]}')}\n`;
    expect(read([text], { parallel: true })).toEqual({
      content: "",
      calls: [
        { name: "rain", arguments: '{"a":1}' },
        { name: "rainfall", arguments: '{"b":[{}]}' },
      ],
      ended: false,
    });
  });

  test("an unknown name, or what only begins like a call, is content", () => {
    const unknown = call("snow", "{}");
    expect(read([unknown])).toMatchObject({ content: unknown, calls: [] });
    expect(read(["a <tool", "box>"])).toMatchObject({ content: "a <toolbox>", calls: [] });
    expect(read(["a <tool"])).toMatchObject({ content: "a <tool", calls: [] });
  });

  test("without a mark a call is what the answer begins with", () => {
    expect(read([call("rain", "{}", llama)], {}, llama).calls).toEqual([{ name: "rain", arguments: "{}" }]);
    const quoted = `Such as ${call("rain", "{}", llama)}`;
    expect(read([quoted], {}, llama)).toMatchObject({ content: quoted, calls: [] });
  });

  test("stop strings end content, and mean nothing within a call", () => {
    expect(read(["one END two"], { stops: ["END"] })).toMatchObject({ content: "one ", ended: true });
    expect(read([call("rain", '{"a": "END"}')], { stops: ["END"] }).calls).toEqual([
      { name: "rain", arguments: '{"a": "END"}' },
    ]);
  });

  test("property: where the text is cut changes nothing", () => {
    const text = `Let me see. ${call("rain", '{"where": "Oslo", "days": [1, 2]}')}\n${call("rainfall", "{}")} Done.`;
    const whole = read([text], { parallel: true });
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: text.length - 1 }), { maxLength: 12 }), (cuts) => {
        const places = [0, ...[...new Set(cuts)].sort((a, b) => a - b), text.length];
        const parts = places.slice(1).map((end, index) => text.slice(places[index], end));
        expect(read(parts, { parallel: true })).toEqual(whole);
      }),
    );
  });
});

describe("what must follow", () => {
  test("nothing, until a call has begun; then the rest of its head, and arguments", () => {
    const reader = new CallReader(hermes, options);
    reader.push("Well. ");
    expect(reader.constraint).toBeNull();
    reader.push("<tool_call>");
    expect(reader.constraint).toEqual({
      type: "one of",
      texts: ['\n{"name": "rain", "arguments": ', '\n{"name": "rainfall", "arguments": '],
    });
    const before = reader.constraint;
    reader.push('\n{"name": "');
    expect(reader.constraint).toBe(before);
    reader.push('rainfall", "arguments": ');
    expect(reader.constraint).toEqual({ type: "arguments", name: "rainfall" });
  });

  test("a whole call, from the first token, where one is required", () => {
    const reader = new CallReader(hermes, { ...options, names: ["rain"], required: true });
    expect(reader.constraint).toEqual({ type: "one of", texts: ['<tool_call>\n{"name": "rain", "arguments": '] });
  });

  test("the end of a call, where another may follow", () => {
    const reader = new CallReader(hermes, { ...options, parallel: true });
    reader.push(call("rain", "{}").slice(0, -hermes.end.length));
    expect(reader.constraint).toEqual({ type: "one of", texts: [hermes.end] });
    reader.push(hermes.end);
    expect(reader.constraint).toBeNull();
  });
});
