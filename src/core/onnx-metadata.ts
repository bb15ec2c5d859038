import { open } from "node:fs/promises";

/** `metadata_props` of ONNX's `ModelProto`, and the two fields of an entry. */
const METADATA_FIELD = 14;
const GRAPH_FIELD = 7;
const KEY_FIELD = 1;
const VALUE_FIELD = 2;
const VARINT = 0;
const LENGTH_DELIMITED = 2;
/** A tag and a length, both varints of at most ten bytes. */
const HEADER_BYTES = 20;
const MAX_METADATA_BYTES = 16 * 2 ** 20;
/** ModelProto has about ten kinds of fields; a file with more than this many is something else. */
const MAX_FIELDS = 10_000;

/** Why a file is no whole ONNX model. */
export class OnnxProblem extends Error {}

/**
 * The metadata of an ONNX model. Reads only the few bytes between its parts. Rejects with `OnnxProblem` for a file that
 * is not one, or is truncated.
 */
export async function readOnnxMetadata(path: string): Promise<ReadonlyMap<string, string>> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const entries = new Map<string, string>();
    let hasGraph = false;
    let fields = 0;
    for (let at = 0; at < size; ) {
      if (++fields > MAX_FIELDS) throw new OnnxProblem("it is not an ONNX model");
      const { buffer, bytesRead } = await file.read(Buffer.alloc(HEADER_BYTES), 0, HEADER_BYTES, at);
      const { number, wire, length, headBytes } = fieldHead(buffer.subarray(0, bytesRead));
      const end = at + headBytes + length;
      if (end > size)
        throw new OnnxProblem(hasGraph || number === GRAPH_FIELD ? "it is cut off" : "it is not an ONNX model");
      hasGraph ||= number === GRAPH_FIELD && wire === LENGTH_DELIMITED;
      if (number === METADATA_FIELD) {
        if (length > MAX_METADATA_BYTES) throw new OnnxProblem("its metadata are larger than those of any model");
        const { buffer: body } = await file.read(Buffer.alloc(length), 0, length, at + headBytes);
        const [key, value] = entryOf(body);
        entries.set(key, value);
      }
      at = end;
    }
    if (!hasGraph) throw new OnnxProblem("it is not an ONNX model");
    return entries;
  } finally {
    await file.close();
  }
}

/** What is appended to an ONNX model to give it more metadata: a protobuf's fields may come in any order and place. */
export const encodeOnnxMetadata = (entries: ReadonlyMap<string, string>): Buffer =>
  Buffer.concat(
    [...entries].map(([key, value]) =>
      field(
        METADATA_FIELD,
        Buffer.concat([field(KEY_FIELD, Buffer.from(key)), field(VALUE_FIELD, Buffer.from(value))]),
      ),
    ),
  );

const field = (number: number, content: Buffer): Buffer =>
  Buffer.concat([varint(number * 8 + LENGTH_DELIMITED), varint(content.length), content]);

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}

interface FieldHead {
  readonly number: number;
  readonly wire: number;
  /** Of what follows the head. */
  readonly length: number;
  readonly headBytes: number;
}

function fieldHead(bytes: Buffer): FieldHead {
  const tag = readVarint(bytes, 0);
  const [number, wire] = [Math.floor(tag.value / 8), tag.value % 8];
  if (number === 0 || (wire !== VARINT && wire !== LENGTH_DELIMITED)) throw new OnnxProblem("it is not an ONNX model");
  const second = readVarint(bytes, tag.end);
  return { number, wire, length: wire === VARINT ? 0 : second.value, headBytes: second.end };
}

function readVarint(bytes: Buffer, from: number): { readonly value: number; readonly end: number } {
  let value = 0;
  for (let at = from, factor = 1; at < bytes.length && at < from + 8; at++, factor *= 128) {
    const byte = bytes[at] as number;
    value += (byte % 128) * factor;
    if (byte < 128) return { value, end: at + 1 };
  }
  throw new OnnxProblem("it is not an ONNX model");
}

function entryOf(bytes: Buffer): readonly [key: string, value: string] {
  const texts = ["", "", ""];
  for (let at = 0; at < bytes.length; ) {
    const { number, length, headBytes } = fieldHead(bytes.subarray(at));
    texts[number] = bytes.toString("utf8", at + headBytes, at + headBytes + length);
    at += headBytes + length;
  }
  return [texts[KEY_FIELD] ?? "", texts[VALUE_FIELD] ?? ""];
}
