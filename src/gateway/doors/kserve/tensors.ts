import { AssistantError } from "../../../core/errors.ts";

/** Bytes of an element in little-endian binary form; null: each element is preceded by its length. */
const elementBytes = {
  BOOL: 1,
  UINT8: 1,
  UINT16: 2,
  UINT32: 4,
  UINT64: 8,
  INT8: 1,
  INT16: 2,
  INT32: 4,
  INT64: 8,
  FP32: 4,
  FP64: 8,
  BYTES: null,
} as const;

/** Supported datatypes of the Open Inference Protocol: all except FP16 and BF16. */
export type Datatype = keyof typeof elementBytes;
export const datatypes = Object.keys(elementBytes);
type Element = string | number | boolean;

export interface TensorHead {
  readonly name: string;
  readonly datatype: Datatype;
  readonly shape: readonly number[];
}

/** Elements in row-major order. BYTES are text, since every model here reads and writes text. */
export interface Tensor extends TensorHead {
  readonly data: readonly Element[];
}

/** A tensor of an answer. */
export interface OutputTensor extends Tensor {
  readonly datatype: "BYTES" | "FP32" | "UINT32";
}

export const MAX_DIMENSIONS = 8;
/** OpenAI's limit for the inputs of one request. */
const MAX_ELEMENTS = 2048;
const LENGTH_BYTES = 4;

/** `invalid_request` about a tensor of the request, named by `param`. */
export const invalidTensor = (name: string, problem: string): AssistantError =>
  new AssistantError("invalid_request", `The input tensor ${JSON.stringify(name.slice(0, 100))} ${problem}.`, {
    param: name.slice(0, 100),
  });

/** Throws `invalid_request` for an unsupported datatype or shape. */
export function tensorHead(name: string, datatype: string, shape: readonly unknown[]): TensorHead {
  if (!Object.hasOwn(elementBytes, datatype))
    throw invalidTensor(
      name,
      `has the datatype ${JSON.stringify(datatype.slice(0, 20))}; expected one of ${datatypes.join(", ")}`,
    );
  if (shape.length > MAX_DIMENSIONS)
    throw invalidTensor(name, `has ${shape.length} dimensions; expected at most ${MAX_DIMENSIONS}`);
  const isSize = (size: unknown): boolean => Number.isSafeInteger(size) && (size as number) >= 0;
  if (!shape.every(isSize) || !isSize(product(shape as number[])))
    throw invalidTensor(name, `has the shape ${shown(shape)}; expected sizes of at least 0`);
  const count = product(shape as number[]);
  if (count > MAX_ELEMENTS) throw invalidTensor(name, `has ${count} elements; expected at most ${MAX_ELEMENTS}`);
  return { name, datatype: datatype as Datatype, shape: shape as number[] };
}

/** The tensor with these elements. Throws `invalid_request` if they do not match shape or datatype. */
export function tensorOf(head: TensorHead, data: readonly unknown[]): Tensor {
  const { name, datatype, shape } = head;
  const count = product(shape);
  if (data.length !== count)
    throw invalidTensor(
      name,
      `has the shape ${shown(shape)}, which is ${count} ${count === 1 ? "element" : "elements"}; found ${data.length > count ? "more" : data.length}`,
    );
  const wrong = data.find((element) => !isElement(datatype, element));
  if (wrong !== undefined) throw invalidTensor(name, `is of ${datatype}; found the element ${shownElement(wrong)}`);
  return { ...head, data: data as Element[] };
}

/** From a JSON array, flat or nested as the shape is. */
export function tensorFromJson(head: TensorHead, data: unknown): Tensor {
  if (!Array.isArray(data)) throw invalidTensor(head.name, `has no "data"; expected an array`);
  return tensorOf(head, Array.isArray(data[0]) ? data.flat(MAX_DIMENSIONS) : data);
}

/** From the binary form. Throws `invalid_request` if the bytes do not fill the shape exactly. */
export function tensorFromBinary(head: TensorHead, bytes: Buffer): Tensor {
  const { name, datatype, shape } = head;
  const size = elementBytes[datatype];
  const count = product(shape);
  if (size === null) return tensorOf(head, textsOf(name, bytes, count));
  if (bytes.length !== count * size)
    throw invalidTensor(
      name,
      `has the shape ${shown(shape)} of ${datatype}, which is ${count * size} bytes; found ${bytes.length}`,
    );
  return { ...head, data: Array.from({ length: count }, (_, index) => readElement(datatype, bytes, index * size)) };
}

/** The binary form. */
export function binaryOf({ datatype, data }: OutputTensor): Buffer {
  if (datatype === "BYTES") return Buffer.concat(data.map((text) => withLength(String(text))));
  const bytes = Buffer.alloc(data.length * elementBytes[datatype]);
  for (const [index, element] of data.entries())
    if (datatype === "FP32") bytes.writeFloatLE(Number(element), index * 4);
    else bytes.writeUInt32LE(Number(element), index * 4);
  return bytes;
}

/** The text of an element of BYTES. Throws `invalid_request` for bytes that are not UTF-8. */
export function textFrom(name: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw invalidTensor(name, "has an element that is not UTF-8; only text is supported");
  }
}

const product = (shape: readonly number[]): number => shape.reduce((count, size) => count * size, 1);
const shown = (shape: readonly unknown[]): string => JSON.stringify(shape).slice(0, 80);
const shownElement = (element: unknown): string =>
  typeof element === "object"
    ? element === null
      ? "null"
      : "an array or an object"
    : JSON.stringify(element)?.slice(0, 40);

function isElement(datatype: Datatype, element: unknown): boolean {
  if (datatype === "BYTES") return typeof element === "string";
  if (datatype === "BOOL") return typeof element === "boolean";
  return typeof element === "number" && (datatype.startsWith("FP") || Number.isInteger(element));
}

/** At most one more than `count`, which is an error then. */
function textsOf(name: string, bytes: Buffer, count: number): string[] {
  const texts: string[] = [];
  for (let offset = 0; offset < bytes.length && texts.length <= count; ) {
    const start = offset + LENGTH_BYTES;
    const end = start <= bytes.length ? start + bytes.readUInt32LE(offset) : Number.POSITIVE_INFINITY;
    if (end > bytes.length)
      throw invalidTensor(
        name,
        `is of BYTES, where 4 bytes of length come before each element; its ${bytes.length} bytes end within an element`,
      );
    texts.push(textFrom(name, bytes.subarray(start, end)));
    offset = end;
  }
  return texts;
}

function withLength(text: string): Buffer {
  const bytes = Buffer.alloc(LENGTH_BYTES + Buffer.byteLength(text));
  bytes.writeUInt32LE(bytes.length - LENGTH_BYTES);
  bytes.write(text, LENGTH_BYTES);
  return bytes;
}

function readElement(datatype: Datatype, bytes: Buffer, at: number): Element {
  switch (datatype) {
    case "BOOL":
      return bytes[at] !== 0;
    case "FP32":
      return bytes.readFloatLE(at);
    case "FP64":
      return bytes.readDoubleLE(at);
    case "INT64":
      return Number(bytes.readBigInt64LE(at));
    case "UINT64":
      return Number(bytes.readBigUInt64LE(at));
    default:
      return datatype.startsWith("U")
        ? bytes.readUIntLE(at, elementBytes[datatype] ?? 1)
        : bytes.readIntLE(at, elementBytes[datatype] ?? 1);
  }
}
