import { expect, test } from "vitest";
import { decodeBody, parseBody } from "../../../src/gateway/canonical/decode.ts";
import { findExcess, MAX_DEPTH } from "../../../src/gateway/canonical/json-text.ts";

const MIB = 2 ** 20;
const nested = (depth: number, open: string, close: string): string => open.repeat(depth) + close.repeat(depth);
const refusal = (text: string | Buffer): { code: string; message: string; param: string | null } => {
  try {
    decodeBody("chat", Buffer.from(text as string));
  } catch (error) {
    return error as { code: string; message: string; param: string | null };
  }
  throw new Error("it was not refused");
};

test.each([
  ["lists", nested(MAX_DEPTH - 1, "[", "]")],
  ["objects", `${'{"a":'.repeat(MAX_DEPTH - 1)}1${"}".repeat(MAX_DEPTH - 1)}`],
])("%s within each other up to the limit pass, and no further", (_, inner) => {
  const body = (value: string): string => `{"messages":[{"role":"user","content":"Hi"}],"metadata":${value}}`;
  expect(() => decodeBody("chat", Buffer.from(body(inner)))).not.toThrow();
  const { code, message, param } = refusal(body(`[${inner}]`));
  expect([code, message.includes("levels"), param?.startsWith("metadata[0]")]).toEqual(["invalid_json", true, true]);
});

test("the limit of a large body is the same", () => {
  const body = (value: string): string => `{"messages":[{"role":"user","content":"${"x".repeat(MIB)}"}],"a":${value}}`;
  expect(() => decodeBody("chat", Buffer.from(body(nested(MAX_DEPTH - 1, "[", "]"))))).not.toThrow();
  expect(refusal(body(nested(MAX_DEPTH, "[", "]"))).message).toContain("levels");
});

test.each([
  ["an unknown field nested 200,000 deep", `{"messages":[],"x":${nested(200_000, "[", "]")}}`],
  [
    "a JSON Schema nested 20,000 deep",
    `{"messages":[],"json_schema":${'{"not":'.repeat(20_000)}{}${"}".repeat(20_000)}}`,
  ],
  ["brackets without end", "[".repeat(60 * MIB)],
])("%s is refused at once, naming the depth", (_, text) => {
  const bytes = Buffer.from(text);
  const before = process.memoryUsage().rss;
  const started = process.cpuUsage();
  const { code, message } = refusal(bytes);
  expect([code, message.includes("levels")]).toEqual(["invalid_json", true]);
  expect(process.cpuUsage(started).user / 1000).toBeLessThan(1000);
  expect(process.memoryUsage().rss - before).toBeLessThan(300 * MIB);
});

test.each([
  ["line breaks", "\n".repeat(60 * MIB)],
  ["a text without an end", `{"a":"${"x".repeat(60 * MIB)}`],
  ["a text with a mistake behind it", `{"a":"${"\\n".repeat(30 * MIB)}" x`],
  ["numbers", "1,".repeat(30 * MIB)],
  ["names", `{${'"a":1,'.repeat(10 * MIB)}`],
])("60 MiB of %s cost no more than as much that is good", (_, text) => {
  const bytes = Buffer.from(text);
  const before = process.memoryUsage().rss;
  const started = process.cpuUsage();
  expect(refusal(bytes).code).toBe("invalid_json");
  expect(process.cpuUsage(started).user / 1000).toBeLessThan(2000);
  expect(process.memoryUsage().rss - before).toBeLessThan(500 * MIB);
});

test("brackets, quotes and escapes in texts count for nothing", () => {
  const text = JSON.stringify({ a: '[{\\"'.repeat(50_000), b: [[["]"]]] });
  expect(findExcess(Buffer.from(text))).toBeNull();
});

test("values are counted together, however deep they are", () => {
  expect(findExcess(Buffer.from(`[${"1,".repeat(990_000)}1]`))).toBeNull();
  expect(findExcess(Buffer.from(`{${'"a":1,'.repeat(240_000)}"b":1}`))).toBeNull();
  expect(findExcess(Buffer.from(`[${"[],".repeat(300_000)}1]`))).toEqual({ limit: "cost", field: null });
  expect(findExcess(Buffer.from(`{${'"a":1,'.repeat(300_000)}"b":1}`))).toEqual({ limit: "cost", field: "a" });
});

test("white space counts, and where a long text ends is found behind any number of backslashes", () => {
  expect(findExcess(Buffer.from(`{"a":${" ".repeat(3_900_000)}1}`))).toBeNull();
  expect(findExcess(Buffer.from(`{"a":${"\n".repeat(17_000_000)}1}`))).toEqual({ limit: "cost", field: "a" });
  const filler = "x".repeat(300_000);
  const nested = "[".repeat(MAX_DEPTH + 1);
  for (let slashes = 0; slashes < 80; slashes++) {
    const text = `["${filler}${"\\".repeat(slashes)}",${nested}`;
    // An even number of backslashes leaves the quote an end, and then the brackets count.
    expect(findExcess(Buffer.from(text))?.limit, String(slashes)).toBe(slashes % 2 === 0 ? "depth" : undefined);
    expect(findExcess(Buffer.from(`["${"\\".repeat(slashes)}",${nested}"${filler}"`))?.limit).toBe(
      slashes % 2 === 0 ? "depth" : undefined,
    );
  }
});

test.each([
  ["prompt", `{"model":"m","prompt":[${"1,".repeat(1_100_000)}1],"n":1}`],
  ["input", `{"input":[${`[${"1,".repeat(2_000)}1],`.repeat(600)}[1]]}`],
  ["logit_bias", `{"messages":[{"role":"user","content":"a"}],"logit_bias":{${'"1":1,'.repeat(260_000)}"2":1}}`],
])("millions of values are refused before they are parsed, naming the field: %s", (field, text) => {
  const { code, param, message } = refusal(text);
  expect([code, param]).toEqual(["invalid_json", field]);
  expect(message).toContain(`With "${field}", the body has too many values: expected at most 1,000,000 numbers`);
});

test("bytes that are good JSON stay the client's own", () => {
  const bytes = Buffer.from('{ "a": "Größe \\ud83e\\udd8a 🦊 \\\\ud800" }');
  expect(parseBody(bytes).bytes).toBe(bytes);
});

test.each([
  ["half a surrogate pair", Buffer.from('{"a":["x\\ud83d"],"b\\uDC00":1}'), { a: ["x\ufffd"], "b\ufffd": 1 }],
  ["two halves in the wrong order", Buffer.from('{"a":"\\udd8a\\ud83e"}'), { a: "\ufffd\ufffd" }],
  ["bytes that are not UTF-8", Buffer.from('{"a":"x\xff"}', "latin1"), { a: "x\ufffd" }],
])("%s become the replacement character, for the engine too", (_, bytes, json) => {
  const body = parseBody(bytes);
  expect(body.json).toEqual(json);
  expect(JSON.parse(body.bytes.toString("utf8"))).toEqual(json);
});
