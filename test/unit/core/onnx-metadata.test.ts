import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { OnnxProblem, readOnnxMetadata } from "../../../src/core/onnx-metadata.ts";
import { onnxLike, withMetadata } from "../../support/onnx.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-onnx-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const read = async (bytes: Buffer): Promise<ReadonlyMap<string, string>> => {
  const file = join(folder, "model.onnx");
  await writeFile(file, bytes);
  return readOnnxMetadata(file);
};

test("metadata that was appended to a model is read back", async () => {
  const long = "x".repeat(100_000);
  const found = await read(withMetadata(onnxLike(), { voice: "en-us", näme: "größe", long }));
  expect(Object.fromEntries(found)).toEqual({ voice: "en-us", näme: "größe", long });
});

test("a model without metadata has none", async () => {
  expect((await read(onnxLike())).size).toBe(0);
});

test.each([
  ["cut off within the graph", onnxLike().subarray(0, 100), "it is cut off"],
  ["cut off within the metadata", withMetadata(onnxLike(), { voice: "en-us" }).subarray(0, -2), "it is cut off"],
  ["a GGUF file", Buffer.from("GGUF\u0003\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"), "it is not an ONNX model"],
  ["a page of the web", Buffer.from("<!doctype html><html><body>Not found</body></html>"), "it is not an ONNX model"],
  ["an empty file", Buffer.alloc(0), "it is not an ONNX model"],
  ["zeros", Buffer.alloc(4096), "it is not an ONNX model"],
])("%s is refused with the reason", async (_, bytes, reason) => {
  const problem = await read(bytes).catch((error: unknown) => error);
  expect(problem).toBeInstanceOf(OnnxProblem);
  expect((problem as OnnxProblem).message).toBe(reason);
});
