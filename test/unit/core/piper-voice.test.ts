import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readOnnxMetadata } from "../../../src/core/onnx-metadata.ts";
import { parsePiperConfig, piperMetadata, readPiperVoice } from "../../../src/core/piper-voice.ts";
import { onnxLike, piperConfig } from "../../support/onnx.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-piper-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test("a voice as Piper publishes it has its config beside it", async () => {
  const file = join(folder, "two.onnx");
  await writeFile(file, onnxLike());
  await writeFile(`${file}.json`, piperConfig());
  expect(await readPiperVoice(file)).toMatchObject({ isOneFile: false, config: { dataset: "joe" } });
});

test("with its metadata appended a voice is one file, and has what sherpa-onnx reads", async () => {
  const file = join(folder, "one.onnx");
  await writeFile(file, Buffer.concat([onnxLike(), piperMetadata(piperConfig())]));
  expect(await readPiperVoice(file)).toMatchObject({ isOneFile: true, config: { dataset: "joe" } });
  expect(Object.fromEntries(await readOnnxMetadata(file))).toMatchObject({
    model_type: "vits",
    comment: "piper",
    language: "English",
    voice: "en-us",
    has_espeak: "1",
    n_speakers: "1",
    sample_rate: "22050",
  });
});

test("a voice without its config names the file that is missing", async () => {
  const file = join(folder, "alone.onnx");
  await writeFile(file, onnxLike());
  await expect(readPiperVoice(file)).rejects.toThrow(`its config ${file}.json does not exist`);
});

test.each([
  ["no JSON", "{"],
  ["null", "null"],
  ["another model's", '{"model_type": "kokoro"}'],
  ["a voice without phonemes", piperConfig({ phoneme_id_map: undefined })],
  ["phonemes without numbers", piperConfig({ phoneme_id_map: { a: [] } })],
  ["a rate that is a text", piperConfig({ audio: { sample_rate: "22050" } })],
])("%s is no config of a Piper voice", (_, text) => {
  expect(() => parsePiperConfig(text)).toThrow("its config is not that of a Piper voice");
});
