import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { readModelFacts } from "../../../src/models/facts.ts";
import { checkGguf, fileTypes, holdsNoModel, readGguf, refusePart } from "../../../src/models/gguf-header.ts";
import { emptyGguf, type GgufValue, ggufPieces } from "../../support/gguf-writer.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "assistant-gguf-"));
});
afterEach(() => rm(dir, { recursive: true }));

const tensors = [
  { name: "a", shape: [3, 4], data: new Uint8Array(48) },
  { name: "b", shape: [5], data: new Uint8Array(20) },
];
const facts: [string, GgufValue][] = [
  ["general.architecture", { text: "llama" }],
  ["llama.context_length", { u32: 2048 }],
  ["tokenizer.ggml.tokens", { texts: Array.from({ length: 1000 }, (_, index) => `token ${index}`) }],
  ["some.flag", { bool: true }],
  ["some.numbers", { i32s: [1, 2, 3] }],
];

async function write(
  name: string,
  extra: readonly [string, GgufValue][] = [],
): Promise<{ file: string; bytes: number }> {
  const bytes = Buffer.concat(ggufPieces(new Map([...facts, ...extra]), tensors));
  const file = join(dir, name);
  await writeFile(file, bytes);
  return { file, bytes: bytes.length };
}
const part = (number: number, count: number): [string, GgufValue][] => [
  ["split.no", { u32: number - 1 }],
  ["split.count", { u32: count }],
];
const refusal = (file: string) =>
  checkGguf(file).then(
    () => "accepted",
    (error: { code?: string; message: string; remedy?: string }) =>
      `${error.code}: ${error.message} ${error.remedy}`.replaceAll(`${dir}/`, ""),
  );

test("a whole file tells its trained context and its parameters", async () => {
  const { file, bytes } = await write("a.gguf");
  expect(await checkGguf(file)).toMatchObject({
    bytes,
    trainContextTokens: 2048,
    parameters: 17,
    ranks: false,
    part: null,
  });
});

test("a header tells what its makers wrote of it", async () => {
  const { file } = await write("a.gguf", [
    ["general.name", { text: "River 1B" }],
    ["general.license", { text: "apache-2.0" }],
    ["general.file_type", { u32: 15 }],
    ["llama.block_count", { u16: 22 }],
    ["llama.embedding_length", { u32: 2048 }],
  ]);
  expect(await readModelFacts(file)).toMatchObject({
    ...{ architecture: "llama", kind: "chat", title: "River 1B", licence: "apache-2.0" },
    ...{ quantization: "Q4_K_M", layers: 22, embeddingLength: 2048 },
  });
  const { file: plain } = await write("b.gguf", [["general.file_type", { u32: 999 }]]);
  expect(await readModelFacts(plain)).toMatchObject({
    ...{ title: null, licence: null, quantization: null, layers: null, embeddingLength: null },
  });
});

test("llama.cpp's file types have the names that node-llama-cpp gives them", async () => {
  const { GgufFileType } = await import("node-llama-cpp");
  const names = Object.entries(GgufFileType).filter(([, number]) => typeof number === "number");
  expect(names.map(([name]) => name.replace(/^(MOSTLY|ALL)_/, ""))).toEqual(fileTypes);
});

test("the parameters of a model in parts are those of all, and a part that is cut off is named", async () => {
  const first = await write("m-00001-of-00002.gguf", part(1, 2));
  const { file, bytes } = await write("m-00002-of-00002.gguf", part(2, 2));
  expect((await checkGguf(first.file)).parameters).toBe(34);
  expect((await readModelFacts(first.file)).parameters).toBe(34);
  await truncate(file, bytes - 32);
  expect(await refusal(first.file)).toContain("m-00002-of-00002.gguf is cut off");
});

test.each([
  ["cls.weight", true],
  ["cls.output.weight", true],
  ["cls.output.bias", false],
  ["blk.0.cls.weight", false],
])("a tensor called %s: it ranks: %s", async (name, ranks) => {
  const file = join(dir, "r.gguf");
  const data = new Uint8Array(20);
  await writeFile(file, Buffer.concat(ggufPieces(new Map(facts), [{ name, shape: [5], data }])));
  expect((await checkGguf(file)).ranks).toBe(ranks);
});

test("a header shows what its model can do", async () => {
  const { file } = await write("a.gguf", [
    ["tokenizer.chat_template", { text: "{% if tools %}{{ tools | tojson }}{% endif %}<think>" }],
    ["tokenizer.ggml.tokens", { texts: ["a", "<|fim_prefix|>", "b"] }],
  ]);
  expect(await checkGguf(file)).toMatchObject({
    architecture: "llama",
    hasChatTemplate: true,
    capabilities: { type: "chat", tools: true, reasoning: true, infill: true, vision: false, audio: false },
  });
});

test.each([
  [
    "a projector",
    [
      ["general.architecture", { text: "clip" }],
      ["clip.has_audio_encoder", { bool: true }],
    ],
    "llava_mmproj",
  ],
  ["an adapter", [["general.type", { text: "adapter" }]], "adapter"],
  ["a model that draws", [["general.architecture", { text: "flux" }]], "stable-diffusion.cpp"],
] satisfies [string, [string, GgufValue][], string][])("%s is no model to run", async (_, extra, remedy) => {
  const { file } = await write("a.gguf", extra);
  await expect(checkGguf(file)).rejects.toMatchObject({
    code: "model_invalid",
    remedy: expect.stringContaining(remedy),
  });
});

test("files that say nothing of a model are told by their first bytes", async () => {
  const { file: model } = await write("model.gguf");
  const { file: firstPart } = await write("part.gguf", part(1, 2));
  const told = async (bytes: Buffer) => {
    const file = join(dir, "other");
    await writeFile(file, bytes);
    return holdsNoModel(file);
  };
  expect(await Promise.all([model, firstPart].map(holdsNoModel))).toEqual([false, false]);
  // The first part of a model may have its metadata alone.
  expect(await told(Buffer.concat(ggufPieces(new Map(facts), [])))).toBe(false);
  expect(await told(emptyGguf)).toBe(true);
  expect(await told(emptyGguf.subarray(0, 20))).toBe(true);
  expect(await told(Buffer.from("a text of some other kind, which is long enough"))).toBe(true);
  await expect(holdsNoModel(join(dir, "missing"))).rejects.toThrow();
});

test("a header longer than the first read", async () => {
  const { file } = await write("a.gguf", [
    ["tokenizer.ggml.merges", { texts: Array.from({ length: 100 }, () => "x".repeat(20_000)) }],
  ]);
  expect(await checkGguf(file)).toMatchObject({ trainContextTokens: 2048 });
});

test("a file that ends before its last tensor does", async () => {
  const { file, bytes } = await write("a.gguf");
  // What follows the last tensor is padding up to the alignment: 12 bytes that nobody misses.
  await truncate(file, bytes - 12);
  expect(await refusal(file)).toBe("accepted");
  await truncate(file, bytes - 13);
  expect(await refusal(file)).toBe(
    `model_invalid: a.gguf is cut off: its tensors take ${bytes - 12} bytes, the file has ${bytes - 13}. Remove the file and pull or copy it again.`,
  );
});

test.each([4, 8, 23, 100, 5000])("a header that is cut off at %i bytes", async (length) => {
  const { file } = await write("a.gguf");
  await truncate(file, length);
  expect(await refusal(file)).toMatch(
    /^model_invalid: a\.gguf is cut off or damaged: its header does not end within the file's \d+ bytes/,
  );
});

test.each([
  ["", "an empty file"],
  ["\0".repeat(100_000), "nothing but zero bytes"],
  ["version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "a Git LFS pointer"],
  ["<!doctype html><html>", "a web page"],
  ["lmgg\u0001", "a file in the format that preceded GGUF"],
  [Buffer.from([0x80, 2, 0x8a]), "what seems to be a PyTorch checkpoint"],
])("what is no GGUF file is called by its name: %j", async (content, name) => {
  await writeFile(join(dir, "x.gguf"), content);
  expect(await refusal(join(dir, "x.gguf"))).toContain(`found ${name}`);
});

test("a version that nobody knows, and a file for the other byte order", async () => {
  const bytes = Buffer.from(emptyGguf);
  bytes.writeUInt32LE(9, 4);
  await writeFile(join(dir, "x.gguf"), bytes);
  expect(await refusal(join(dir, "x.gguf"))).toContain("version 9; expected version 2 or 3");
  bytes.writeUInt32BE(3, 4);
  await writeFile(join(dir, "x.gguf"), bytes);
  expect(await refusal(join(dir, "x.gguf"))).toContain("is a big-endian GGUF file; expected a little-endian one");
});

describe("a model in several parts", () => {
  test("is whole with all of them beside each other", async () => {
    const { file } = await write("m-00001-of-00002.gguf", part(1, 2));
    expect(await refusal(file)).toContain(
      "m-00001-of-00002.gguf is part 1 of 2 of a model, and m-00002-of-00002.gguf is missing",
    );
    await write("m-00002-of-00002.gguf", part(2, 2));
    expect(await refusal(file)).toBe("accepted");
  });

  test("is named by the first", async () => {
    const { file } = await write("m-00002-of-00002.gguf", part(2, 2));
    expect(await refusal(file)).toContain("is part 2 of 2 of a model. Name the first part: m-00001-of-00002.gguf");
  });

  test("cannot be told by other names, and not be pulled", async () => {
    const { file } = await write("renamed.gguf", part(1, 2));
    expect(await refusal(file)).toContain("expected its name to end in -00001-of-00002.gguf");
    const header = await readGguf(file);
    expect(() => refusePart(header, "renamed.gguf")).toThrow("renamed.gguf is part 1 of 2 of a model");
  });
});
