import { decodeElements, encodeElements } from "../../upstreams/kserve/codec.ts";

/** Elements of a tensor. BYTES are buffers when received, and strings or buffers when sent. */
export type Elements = readonly (number | boolean | string | bigint | Buffer)[];

export interface Tensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data: Elements;
}

/**
 * Tensors by name. The datatype of a list follows from its elements: float → FP32, integer → INT32, boolean → BOOL,
 * string and buffer → BYTES.
 */
export type TensorMap = Readonly<Record<string, Elements | Omit<Tensor, "name">>>;

export interface InferMessage {
  readonly modelName: string;
  readonly id: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  readonly tensors: readonly Tensor[];
}

/** Of the header that says where an answer's JSON ends. */
export const HEADER_LENGTH = "inference-header-content-length";

const isList = (value: TensorMap[string]): value is Elements => Array.isArray(value);

/** A list as a one-dimensional tensor. Throws a `TypeError` if its elements have different types. */
function tensorOf(name: string, value: TensorMap[string]): Tensor {
  if (!isList(value)) return { name, ...value };
  return { name, datatype: datatypeOf(name, value), shape: [value.length], data: value };
}

export const tensorsOf = (map: TensorMap): Tensor[] =>
  Object.entries(map).map(([name, value]) => tensorOf(name, value));

function datatypeOf(name: string, data: Elements): string {
  if (data.every((each) => typeof each === "string" || Buffer.isBuffer(each))) return "BYTES";
  if (data.every((each) => typeof each === "boolean")) return "BOOL";
  if (data.every((each) => typeof each === "bigint")) return "INT64";
  if (data.every((each) => typeof each === "number")) return data.every(isInt32) ? "INT32" : "FP32";
  throw new TypeError(`"${name}" contains elements of several kinds; expected numbers, booleans, or texts and buffers`);
}

const WIDE: ReadonlySet<string> = new Set(["INT64", "UINT64"]);
const isInt32 = (value: unknown): boolean => Number.isInteger(value) && Math.abs(value as number) < 2 ** 31;

/** A request or answer as JSON, followed by its tensors in binary form. */
export function encodeBinary(
  head: Readonly<Record<string, unknown>>,
  field: "inputs" | "outputs",
  tensors: readonly Tensor[],
): { readonly bytes: Buffer; readonly headBytes: number } {
  const binary = tensors.map(({ name, datatype, data }) => encodeElements(name, datatype, data));
  const listed = tensors.map(({ name, datatype, shape }, index) => ({
    name,
    datatype,
    shape,
    parameters: { binary_data_size: binary[index]?.length },
  }));
  const json = Buffer.from(JSON.stringify({ ...head, [field]: listed }));
  return { bytes: Buffer.concat([json, ...binary]), headBytes: json.length };
}

/** The same as JSON only. Throws a `TypeError` for bytes that are not UTF-8. */
export const encodeJson = (
  head: Readonly<Record<string, unknown>>,
  field: "inputs" | "outputs",
  tensors: readonly Tensor[],
): string =>
  JSON.stringify({
    ...head,
    [field]: tensors.map((tensor) => ({ ...tensor, data: tensor.data.map((each) => jsonOf(tensor, each)) })),
  });

function jsonOf({ name }: Tensor, element: Elements[number]): number | boolean | string {
  if (typeof element === "bigint") return Number(element);
  if (!Buffer.isBuffer(element)) return element;
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(element);
  } catch (cause) {
    throw new TypeError(`"${name}" contains bytes that are not UTF-8, which JSON cannot represent`, { cause });
  }
}

interface WrittenTensor {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: readonly unknown[];
  readonly parameters?: { readonly binary_data_size?: number };
}

/** Decodes a body: JSON, optionally followed by binary tensors. Throws if it is invalid. */
export function decodeMessage(bytes: Buffer, headBytes: number, field: "inputs" | "outputs"): InferMessage {
  const json = JSON.parse(bytes.toString("utf8", 0, headBytes)) as Readonly<Record<string, unknown>>;
  const listed = json[field];
  if (!Array.isArray(listed)) throw new TypeError(`"${field}" must be a list of tensors`);
  let at = headBytes;
  const tensors = (listed as readonly WrittenTensor[]).map(({ name, datatype, shape, data, parameters }) => {
    const size = parameters?.binary_data_size;
    const encoded =
      size === undefined
        ? encodeElements(name, datatype, (data ?? []).flat(Number.POSITIVE_INFINITY))
        : bytes.subarray(at, at + size);
    at += size ?? 0;
    const elements = decodeElements(name, datatype, encoded);
    // Numbers of 64 bits are strings only in JSON.
    return {
      name,
      datatype,
      shape,
      data: WIDE.has(datatype) ? elements.map((each) => BigInt(String(each))) : elements,
    };
  });
  return {
    modelName: String(json["model_name"] ?? ""),
    id: String(json["id"] ?? ""),
    parameters: (json["parameters"] ?? {}) as InferMessage["parameters"],
    tensors,
  };
}
