import { open, writeFile } from "node:fs/promises";
import { readGgufFileInfo } from "node-llama-cpp";
import { type GgufTensor, type GgufValue, ggufPieces } from "./gguf-writer.ts";

const ALIGNMENT = 32;
const KEY = "tokenizer.chat_template";
const TEXT = 8;

/** Writes a copy of a model's file with another chat template. */
export async function writeWithTemplate(file: string, template: string, copy: string): Promise<void> {
  const { metadataSize, tensorInfoSize = 0 } = await readGgufFileInfo(file, { sourceType: "filesystem" });
  await using handle = await open(file, "r");
  const { size } = await handle.stat();
  const all = Buffer.alloc(size);
  await handle.read(all, 0, size, 0);
  const headerEnd = metadataSize + tensorInfoSize;
  const key = sized(KEY);
  const at = all.indexOf(key) + key.length;
  if (at < key.length || all.readUInt32LE(at) !== TEXT) throw new Error(`${file} has no chat template`);
  const valueEnd = at + 4 + 8 + Number(all.readBigUInt64LE(at + 4));
  const head = Buffer.concat([all.subarray(0, at + 4), sized(template), all.subarray(valueEnd, headerEnd)]);
  const padding = Buffer.alloc(aligned(head.length) - head.length);
  await writeFile(copy, Buffer.concat([head, padding, all.subarray(aligned(headerEnd))]));
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

function sized(text: string): Buffer {
  const bytes = Buffer.from(text, "utf8");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([length, bytes]);
}

/**
 * Writes a LoRA adapter for SmolLM2-135M that changes its answers: rank 1, on the output of attention in a few layers.
 */
export async function writeAdapter(file: string): Promise<void> {
  const width = 576;
  const metadata = new Map<string, GgufValue>([
    ["general.type", { text: "adapter" }],
    ["general.architecture", { text: "llama" }],
    ["adapter.type", { text: "lora" }],
    ["adapter.lora.alpha", { f32: 1 }],
  ]);
  const values = (seed: number): Uint8Array => {
    const numbers = Float32Array.from({ length: width }, (_, index) => Math.sin(seed + index * 1.7));
    return new Uint8Array(numbers.buffer);
  };
  const tensors = [5, 10, 15, 20].flatMap((layer): GgufTensor[] => [
    { name: `blk.${layer}.attn_output.weight.lora_a`, shape: [1, width], data: values(layer) },
    { name: `blk.${layer}.attn_output.weight.lora_b`, shape: [width, 1], data: values(layer + 0.5) },
  ]);
  await writeFile(file, Buffer.concat(ggufPieces(metadata, tensors)));
}
