/** A metadata value of a GGUF file, with the type that its reader expects. */
export type GgufValue =
  | { readonly u16: number }
  | { readonly u32: number }
  | { readonly f32: number }
  | { readonly bool: boolean }
  | { readonly text: string }
  | { readonly texts: readonly string[] }
  | { readonly i32s: readonly number[] }
  | { readonly f32s: readonly number[] };

/** An F32 tensor. `shape` as numpy has it: the last dimension is the fastest. */
export interface GgufTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

const ALIGNMENT = 32;
const TYPE = { u16: 2, u32: 4, i32: 5, f32: 6, bool: 7, text: 8, array: 9 };
const F32 = 0;

/** A GGUF file (version 3, little-endian) as pieces to write one after another. */
export function ggufPieces(metadata: ReadonlyMap<string, GgufValue>, tensors: readonly GgufTensor[]): Uint8Array[] {
  const header = [Buffer.from("GGUF"), u32(3), u64(tensors.length), u64(metadata.size)];
  for (const [key, value] of metadata) header.push(text(key), ...encode(value));
  let offset = 0;
  for (const tensor of tensors) {
    header.push(
      text(tensor.name),
      u32(tensor.shape.length),
      ...tensor.shape.toReversed().map(u64),
      u32(F32),
      u64(offset),
    );
    offset += padded(tensor.data.length);
  }
  const pieces = [Buffer.concat(header), ...tensors.map(({ data }) => data)];
  return pieces.flatMap((piece) => [piece, Buffer.alloc(padded(piece.length) - piece.length)]);
}

function encode(value: GgufValue): Buffer[] {
  if ("u16" in value) return [u32(TYPE.u16), u32(value.u16).subarray(0, 2)];
  if ("u32" in value) return [u32(TYPE.u32), u32(value.u32)];
  if ("f32" in value) return [u32(TYPE.f32), Buffer.from(new Float32Array([value.f32]).buffer)];
  if ("bool" in value) return [u32(TYPE.bool), Buffer.from([value.bool ? 1 : 0])];
  if ("text" in value) return [u32(TYPE.text), text(value.text)];
  if ("texts" in value) return [u32(TYPE.array), u32(TYPE.text), u64(value.texts.length), ...value.texts.map(text)];
  if ("f32s" in value)
    return [u32(TYPE.array), u32(TYPE.f32), u64(value.f32s.length), Buffer.from(new Float32Array(value.f32s).buffer)];
  return [u32(TYPE.array), u32(TYPE.i32), u64(value.i32s.length), Buffer.from(new Int32Array(value.i32s).buffer)];
}

const padded = (bytes: number): number => Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;

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

function text(value: string): Buffer {
  const bytes = Buffer.from(value, "utf8");
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** The least that is a GGUF file: neither metadata nor tensors. */
export const emptyGguf: Buffer = Buffer.concat([Buffer.from("GGUF"), u32(3), u64(0), u64(0)]);
