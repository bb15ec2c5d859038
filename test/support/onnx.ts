import { encodeOnnxMetadata } from "../../src/core/onnx-metadata.ts";

/** A file that begins as ONNX models do: a version and a graph, here of random size and without meaning. */
export const onnxLike = (graphBytes = 300): Buffer =>
  Buffer.concat([
    Buffer.from([0x08, 8, 0x3a, (graphBytes % 128) + 128, Math.floor(graphBytes / 128)]),
    Buffer.alloc(graphBytes, 7),
  ]);

export const withMetadata = (file: Buffer, entries: Readonly<Record<string, string>>): Buffer =>
  Buffer.concat([file, encodeOnnxMetadata(new Map(Object.entries(entries)))]);

/** The config of a small Piper voice. */
export const piperConfig = (changes: object = {}): string =>
  JSON.stringify({
    audio: { sample_rate: 22_050, quality: "medium" },
    espeak: { voice: "en-us" },
    phoneme_id_map: { _: [0], "^": [1], $: [2], " ": [3], a: [4] },
    num_speakers: 1,
    speaker_id_map: {},
    language: { code: "en_US", name_english: "English" },
    dataset: "joe",
    ...changes,
  });
