import { beforeAll, expect, test } from "vitest";
import { loadInferenceService, type WireInferRequest } from "../../../src/api/inference-service.ts";
import { checkInferAnswer, checkInferMessage } from "../../../src/api/message-limits.ts";

let encoded: (message: Partial<WireInferRequest>) => Buffer;
beforeAll(async () => {
  const { service } = await loadInferenceService();
  const method = service["ModelInfer"];
  encoded = (message) => method?.requestSerialize(message) as Buffer;
});

const text = { name: "text_input", datatype: "BYTES", shape: [1] };

test("passes what is large because of its text", () => {
  const large = Buffer.alloc(4 * 2 ** 20, "a");
  checkInferMessage(encoded({ inputs: [text], rawInputContents: [large] }));
  checkInferMessage(encoded({ inputs: [{ ...text, contents: { bytesContents: [large] } }] }));
  checkInferMessage(
    encoded({ parameters: { json_schema: { stringParam: large.toString() }, top_p: { doubleParam: 0.5 } } }),
  );
});

test("passes as many texts as a request may have", () => {
  const bytesContents = Array(2048).fill(Buffer.from("a"));
  checkInferMessage(encoded({ inputs: [{ ...text, shape: [2048], contents: { bytesContents } }] }));
});

test.each<[string, () => Partial<WireInferRequest>, string]>([
  [
    "texts",
    () => ({ inputs: [{ ...text, contents: { bytesContents: Array(30_000).fill(Buffer.alloc(0)) } }] }),
    "20000 fields",
  ],
  ["raw texts", () => ({ rawInputContents: Array(30_000).fill(Buffer.alloc(0)) }), "20000 fields"],
  ["tensors", () => ({ inputs: Array(30_000).fill({}) }), "20000 fields"],
  [
    "numbers",
    () => ({ inputs: [{ ...text, contents: { boolContents: Array(270_000).fill(true) } }] }),
    "262144 bytes of numbers",
  ],
  ["dimensions", () => ({ inputs: [{ ...text, shape: Array(270_000).fill(1) }] }), "262144 bytes of numbers"],
])("refuses a multitude of %s", (_, message, expected) => {
  expect(() => checkInferMessage(encoded(message()))).toThrow(expected);
});

test("ends on bytes that are no protobuf", () => {
  for (const bytes of [
    Buffer.alloc(100, 0xff),
    Buffer.alloc(100, 0x0b),
    Buffer.from([0x2a, 0xff, 0xff, 0xff, 0xff, 0x7f]),
  ])
    expect(() => checkInferMessage(bytes)).not.toThrow();
});

test("an answer may have more numbers than a request, and any length of raw contents", async () => {
  const { service } = await loadInferenceService();
  const answer = (outputs: object, raw: readonly Buffer[] = []): Buffer =>
    service["ModelInfer"]?.responseSerialize({ outputs: [outputs], rawOutputContents: raw }) as Buffer;
  checkInferAnswer(answer({ ...text, contents: { fp32Contents: Array(1_000_000).fill(1) } }), false);
  checkInferAnswer(answer(text, [Buffer.alloc(8 * 2 ** 20)]), false);
  const many = answer({ ...text, contents: { fp32Contents: Array(1_100_000).fill(1) } });
  expect(() => checkInferAnswer(many, false)).toThrow("4194304 bytes of numbers");
});
