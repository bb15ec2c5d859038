import { expect, test } from "vitest";
import {
  binaryOf,
  type OutputTensor,
  tensorFromBinary,
  tensorFromJson,
  tensorHead,
} from "../../../src/gateway/doors/kserve/tensors.ts";

const read = (datatype: string, shape: readonly number[], bytes: Buffer): unknown =>
  tensorFromBinary(tensorHead("x", datatype, shape), bytes).data;
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(" ", ""), "hex");

test.each([
  ["BOOL", "00 01", [false, true]],
  ["UINT8", "00 ff", [0, 255]],
  ["UINT16", "0100 ffff", [1, 65535]],
  ["UINT32", "01000000 ffffffff", [1, 4294967295]],
  ["UINT64", "0100000000000000 0000000001000000", [1, 2 ** 32]],
  ["INT8", "7f ff", [127, -1]],
  ["INT16", "0080 0100", [-32768, 1]],
  ["INT32", "ffffffff 2a000000", [-1, 42]],
  ["INT64", "feffffffffffffff 2a00000000000000", [-2, 42]],
  ["FP32", "0000803f 000000bf", [1, -0.5]],
  ["FP64", "000000000000f03f 000000000000e0bf", [1, -0.5]],
  ["BYTES", "01000000 61 02000000 c3a9", ["a", "é"]],
])("reads two elements of %s", (datatype, bytes, data) => {
  expect(read(datatype, [2], hex(bytes))).toEqual(data);
  expect(read(datatype, [2, 1], hex(bytes))).toEqual(data);
});

test.each<[OutputTensor["datatype"], OutputTensor["data"], string]>([
  ["FP32", [1, -0.5], "0000803f 000000bf"],
  ["UINT32", [1, 4294967295], "01000000 ffffffff"],
  ["BYTES", ["a", "é", ""], "01000000 61 02000000 c3a9 00000000"],
])("writes %s", (datatype, data, bytes) => {
  const tensor = { name: "y", datatype, shape: [data.length], data };
  expect(binaryOf(tensor)).toEqual(hex(bytes));
  expect(read(datatype, [data.length], binaryOf(tensor))).toEqual(data);
});

test("reads JSON that is flat or nested as the shape is", () => {
  const head = tensorHead("x", "INT32", [2, 2]);
  const nested = [
    [1, 2],
    [3, 4],
  ];
  expect(tensorFromJson(head, nested)).toEqual({ ...head, data: [1, 2, 3, 4] });
  expect(tensorFromJson(head, [1, 2, 3, 4])).toEqual({ ...head, data: [1, 2, 3, 4] });
});

test.each<[string, () => unknown, string]>([
  ["an unknown datatype", () => tensorHead("x", "FP16", [1]), 'has the datatype "FP16"; expected one of BOOL'],
  ["a name of Object's", () => tensorHead("x", "constructor", [1]), 'has the datatype "constructor"'],
  ["a negative size", () => tensorHead("x", "FP32", [-1]), "has the shape [-1]"],
  ["a size that is no integer", () => tensorHead("x", "FP32", ["1"]), 'has the shape ["1"]'],
  ["too many dimensions", () => tensorHead("x", "FP32", Array(9).fill(1)), "has 9 dimensions"],
  ["too many elements", () => tensorHead("x", "BOOL", [2 ** 20, 2 ** 20]), "expected at most 2048"],
  ["bytes that are too few", () => read("INT32", [2], Buffer.alloc(7)), "is 8 bytes; found 7"],
  ["texts that are too few", () => read("BYTES", [2], hex("01000000 61")), "is 2 elements; found 1"],
  ["texts that are too many", () => read("BYTES", [1], Buffer.alloc(4_000)), "is 1 element; found more"],
  ["a text that is cut off", () => read("BYTES", [1], hex("05000000 61")), "end within an element"],
  ["a length that is cut off", () => read("BYTES", [1], hex("0500")), "end within an element"],
  ["bytes that are no text", () => read("BYTES", [1], hex("01000000 ff")), "not UTF-8"],
  ["no data", () => tensorFromJson(tensorHead("x", "BYTES", [1]), undefined), 'has no "data"'],
  [
    "data of another type",
    () => tensorFromJson(tensorHead("x", "BYTES", [1]), [5]),
    "is of BYTES; found the element 5",
  ],
  ["a fraction", () => tensorFromJson(tensorHead("x", "INT32", [1]), [0.5]), "is of INT32; found the element 0.5"],
  ["null", () => tensorFromJson(tensorHead("x", "FP32", [1]), [null]), "found the element null"],
])("refuses %s, and names the tensor", (_, make, message) => {
  expect(make).toThrow(
    expect.objectContaining({ code: "invalid_request", param: "x", message: expect.stringContaining(message) }),
  );
});
