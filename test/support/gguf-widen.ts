import { open, writeFile } from "node:fs/promises";
import { readGgufFileInfo } from "node-llama-cpp";

const ALIGNMENT = 32;
/** Weights in one block. */
const BLOCK = 32;
const Q4_1 = { id: 3, blockBytes: 20 };
const Q8_0 = { id: 8, blockBytes: 34 };

/**
 * Writes a copy of a model's file with the tensors of type Q4_1 as Q8_0, which holds the same numbers: llama.cpp has
 * matrix kernels for it, and reads prompts several times as fast.
 */
export async function writeWidened(file: string, copy: string): Promise<void> {
  const info = await readGgufFileInfo(file, { sourceType: "filesystem", logWarnings: false });
  const { metadataSize, tensorInfoSize = 0, fullTensorInfo = [] } = info;
  await using handle = await open(file, "r");
  const all = Buffer.alloc((await handle.stat()).size);
  await handle.read(all, 0, all.length, 0);
  const dataStart = aligned(metadataSize + tensorInfoSize);
  const infos: Buffer[] = [all.subarray(0, metadataSize)];
  const data: Uint8Array[] = [];
  let offset = 0;
  const ends = [...fullTensorInfo.map((tensor) => Number(tensor.offset)), all.length - dataStart].sort((a, b) => a - b);
  for (const { name, dimensions, ggmlType, offset: from } of fullTensorInfo) {
    const start = Number(from);
    const bytes = all.subarray(dataStart + start, dataStart + (ends.find((end) => end > start) ?? start));
    const weights = dimensions.reduce<number>((product, length) => product * Number(length), 1);
    const widened = (ggmlType as number) === Q4_1.id;
    infos.push(tensorInfo(name, dimensions.map(Number), widened ? Q8_0.id : ggmlType, offset));
    const piece = widened ? q8(bytes, weights / BLOCK) : bytes;
    const padding = Buffer.alloc(aligned(piece.length) - piece.length);
    data.push(piece, padding);
    offset += piece.length + padding.length;
  }
  const head = Buffer.concat(infos);
  await writeFile(copy, [head, Buffer.alloc(aligned(head.length) - head.length), ...data]);
}

/** Each weight of a Q4_1 block is `scale * number + least`, the number of four bits; of a Q8_0 block `scale * number`. */
function q8(blocks: Buffer, count: number): Uint8Array {
  const made = Buffer.alloc(count * Q8_0.blockBytes);
  const view = new DataView(made.buffer, made.byteOffset);
  const source = new DataView(blocks.buffer, blocks.byteOffset);
  const values = new Int8Array(16);
  for (let block = 0; block < count; block++) {
    const from = block * Q4_1.blockBytes;
    const to = block * Q8_0.blockBytes;
    const step = source.getFloat16(from, true);
    const least = source.getFloat16(from + 2, true);
    view.setFloat16(to, Math.max(Math.abs(least), Math.abs(least + 15 * step)) / 127, true);
    const scale = view.getFloat16(to, true);
    for (let number = 0; number < 16; number++)
      values[number] = scale === 0 ? 0 : Math.round((least + number * step) / scale);
    for (let index = 0; index < BLOCK / 2; index++) {
      const pair = blocks[from + 4 + index] ?? 0;
      made[to + 2 + index] = values[pair & 15] ?? 0;
      made[to + 2 + BLOCK / 2 + index] = values[pair >> 4] ?? 0;
    }
  }
  return made;
}

function tensorInfo(name: string, dimensions: readonly number[], type: number, offset: number): Buffer {
  const text = Buffer.from(name, "utf8");
  const bytes = Buffer.alloc(8 + text.length + 4 + 8 * dimensions.length + 4 + 8);
  let at = bytes.writeBigUInt64LE(BigInt(text.length), 0);
  at += text.copy(bytes, at);
  at = bytes.writeUInt32LE(dimensions.length, at);
  for (const length of dimensions) at = bytes.writeBigUInt64LE(BigInt(length), at);
  at = bytes.writeUInt32LE(type, at);
  bytes.writeBigUInt64LE(BigInt(offset), at);
  return bytes;
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
