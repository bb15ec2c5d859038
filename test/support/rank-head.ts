import { readFile, writeFile } from "node:fs/promises";
import { readGgufFileInfo } from "node-llama-cpp";

const ALIGNMENT = 32;
const F32 = 0;

/**
 * Writes the encoder at `source` with a classification head, so that a real engine ranks with it. The head is made up:
 * what it says of documents means nothing, but it is computed as a reranker's is. No small reranker comes in a package
 * that tests could pull.
 */
export async function withRankHead(source: string, target: string): Promise<void> {
  const file = await readFile(source);
  const {
    metadataSize,
    tensorInfoSize = 0,
    architectureMetadata,
  } = await readGgufFileInfo(source, {
    sourceType: "filesystem",
    logWarnings: false,
  });
  const width = architectureMetadata.embedding_length ?? 0;
  const infoEnd = metadataSize + tensorInfoSize;
  const data = file.subarray(aligned(infoEnd));
  const head = Buffer.from(Float32Array.from({ length: width }, (_, index) => Math.cos(index)).buffer);
  const header = Buffer.from(file.subarray(0, infoEnd));
  header.writeBigUInt64LE(header.readBigUInt64LE(8) + 1n, 8);
  const info = Buffer.concat([
    text("cls.output.weight"),
    u32(2),
    u64(width),
    u64(1),
    u32(F32),
    u64(aligned(data.length)),
  ]);
  const parts = [padded(Buffer.concat([header, info])), padded(data), padded(head)];
  await writeFile(target, Buffer.concat(parts));
}

const aligned = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
const padded = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(aligned(bytes.length) - bytes.length)]);

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

const text = (value: string): Buffer => Buffer.concat([u64(Buffer.byteLength(value)), Buffer.from(value)]);
