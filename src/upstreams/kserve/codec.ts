import type {
  WireContents,
  WireInferRequest,
  WireInferResponse,
  WireParameter,
  WireTensor,
} from "../../api/inference-service.ts";
import { AssistantError, isAssistantError } from "../../core/errors.ts";
import type { CallBody, JsonObject } from "../../core/inference.ts";

/** Binary form of an element. */
interface Datatype {
  /** Bytes of an element; 0: each is preceded by its length. */
  readonly bytes: number;
  /** The field of typed contents; null: it has no typed form. */
  readonly field: keyof WireContents | null;
  readonly write: (view: DataView, at: number, value: unknown) => void;
  /** 64-bit integers as strings. */
  readonly read: (view: DataView, at: number) => boolean | number | string;
}

const number = (
  bytes: number,
  field: keyof WireContents,
  write: (view: DataView, at: number, value: number) => void,
  read: (view: DataView, at: number) => boolean | number,
): Datatype => ({ bytes, field, read, write: (view, at, value) => write(view, at, Number(value)) });
const raw = (bytes: number): Datatype => ({ bytes, field: null, write: noJson, read: noJson });
function noJson(): never {
  throw new AssistantError("invalid_request", "FP16 and BF16 have no JSON form; send them as binary tensors.");
}

const datatypes: Readonly<Record<string, Datatype>> = {
  BOOL: number(
    1,
    "boolContents",
    (view, at, value) => view.setUint8(at, value),
    (view, at) => view.getUint8(at) !== 0,
  ),
  UINT8: number(
    1,
    "uintContents",
    (view, at, value) => view.setUint8(at, value),
    (view, at) => view.getUint8(at),
  ),
  UINT16: number(
    2,
    "uintContents",
    (view, at, value) => view.setUint16(at, value, true),
    (view, at) => view.getUint16(at, true),
  ),
  UINT32: number(
    4,
    "uintContents",
    (view, at, value) => view.setUint32(at, value, true),
    (view, at) => view.getUint32(at, true),
  ),
  UINT64: {
    bytes: 8,
    field: "uint64Contents",
    write: (view, at, value) => view.setBigUint64(at, BigInt(value as string), true),
    read: (view, at) => String(view.getBigUint64(at, true)),
  },
  INT8: number(
    1,
    "intContents",
    (view, at, value) => view.setInt8(at, value),
    (view, at) => view.getInt8(at),
  ),
  INT16: number(
    2,
    "intContents",
    (view, at, value) => view.setInt16(at, value, true),
    (view, at) => view.getInt16(at, true),
  ),
  INT32: number(
    4,
    "intContents",
    (view, at, value) => view.setInt32(at, value, true),
    (view, at) => view.getInt32(at, true),
  ),
  INT64: {
    bytes: 8,
    field: "int64Contents",
    write: (view, at, value) => view.setBigInt64(at, BigInt(value as string), true),
    read: (view, at) => String(view.getBigInt64(at, true)),
  },
  FP16: raw(2),
  BF16: raw(2),
  FP32: number(
    4,
    "fp32Contents",
    (view, at, value) => view.setFloat32(at, value, true),
    (view, at) => view.getFloat32(at, true),
  ),
  FP64: number(
    8,
    "fp64Contents",
    (view, at, value) => view.setFloat64(at, value, true),
    (view, at) => view.getFloat64(at, true),
  ),
  BYTES: { bytes: 0, field: "bytesContents", write: noJson, read: noJson },
};
const LENGTH_BYTES = 4;

/** Throws `invalid_request` for an unknown datatype. */
function datatypeOf({ name, datatype }: Pick<WireTensor, "name" | "datatype">): Datatype {
  const found = Object.hasOwn(datatypes, datatype) ? datatypes[datatype] : undefined;
  if (found !== undefined) return found;
  throw invalid(
    name,
    `has the datatype ${JSON.stringify(datatype)?.slice(0, 20)}; expected one of ${Object.keys(datatypes).join(", ")}`,
  );
}

const invalid = (name: string, problem: string): AssistantError =>
  new AssistantError("invalid_request", `The tensor ${JSON.stringify(name).slice(0, 100)} ${problem}.`, {
    param: name.slice(0, 100),
  });

/** Elements in binary form: numbers, booleans, 64-bit integers also as strings, and strings or bytes. */
export function encodeElements(name: string, datatype: string, elements: readonly unknown[]): Buffer {
  const { bytes, write } = datatypeOf({ name, datatype });
  if (bytes === 0) {
    const parts = elements.flatMap((element) => {
      const content = Buffer.isBuffer(element) ? element : Buffer.from(String(element));
      const length = Buffer.alloc(LENGTH_BYTES);
      length.writeUInt32LE(content.length);
      return [length, content];
    });
    return Buffer.concat(parts);
  }
  const encoded = Buffer.alloc(bytes * elements.length);
  const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.length);
  try {
    for (const [index, element] of elements.entries()) write(view, index * bytes, element);
  } catch (cause) {
    throw isAssistantError(cause) ? cause : invalid(name, `is of ${datatype}, and has an element that is not`);
  }
  return encoded;
}

/** The elements of a binary form; BYTES as buffers. Throws `invalid_request` if it ends within one. */
export function decodeElements(
  name: string,
  datatype: string,
  encoded: Buffer,
): (boolean | number | string | Buffer)[] {
  const { bytes, read } = datatypeOf({ name, datatype });
  if (bytes > 0 && encoded.length % bytes !== 0)
    throw invalid(name, `has ${encoded.length} bytes, which are no whole elements of ${datatype}`);
  if (bytes > 0) {
    const view = new DataView(encoded.buffer, encoded.byteOffset, encoded.length);
    return Array.from({ length: encoded.length / bytes }, (_, index) => read(view, index * bytes));
  }
  const elements: Buffer[] = [];
  for (let at = 0; at < encoded.length; ) {
    const start = at + LENGTH_BYTES;
    const end = start <= encoded.length ? start + encoded.readUInt32LE(at) : Number.POSITIVE_INFINITY;
    if (end > encoded.length) throw invalid(name, "is of BYTES and ends within an element");
    elements.push(encoded.subarray(start, end));
    at = end;
  }
  return elements;
}

/**
 * A gRPC request as an HTTP body: JSON, followed by all tensors in binary form. `isStreamed`: outputs are returned as
 * JSON.
 */
export function bodyOfMessage(message: WireInferRequest, parameters: JsonObject, isStreamed: boolean): CallBody {
  const { id, inputs, outputs, rawInputContents } = message;
  const binary = inputs.map(({ name, datatype, contents }, index) => {
    const raw = rawInputContents[index];
    if (raw !== undefined) return raw;
    const { field } = datatypeOf({ name, datatype });
    return encodeElements(name, datatype, field === null ? [] : (contents?.[field] ?? []));
  });
  const json = {
    ...(id === "" ? {} : { id }),
    parameters: { ...parameters, ...(isStreamed ? {} : { binary_data_output: true }) },
    inputs: inputs.map(({ name, datatype, shape }, index) => ({
      name,
      datatype,
      shape: shape.map(Number),
      parameters: { binary_data_size: binary[index]?.length ?? 0 },
    })),
    ...(outputs.length === 0 ? {} : { outputs: outputs.map(({ name }) => ({ name })) }),
  };
  const head = Buffer.from(JSON.stringify(json));
  return { json, bytes: Buffer.concat([head, ...binary]), headBytes: head.length };
}

interface HttpOutput {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
  readonly data?: readonly unknown[];
  readonly parameters?: { readonly binary_data_size?: number };
}

/** An HTTP answer, JSON with binary tensors after it, as a message. Throws `worker_error` if it is invalid. */
export function messageOfAnswer(bytes: Buffer, headBytes: number, isRaw: boolean): WireInferResponse {
  try {
    const json = JSON.parse(bytes.toString("utf8", 0, headBytes)) as JsonObject;
    return messageOfJson(json, isRaw, bytes.subarray(headBytes));
  } catch (cause) {
    throw new AssistantError("worker_error", "The worker's answer is no inference response.", { cause });
  }
}

/** The same for its JSON. */
export function messageOfJson(json: JsonObject, isRaw: boolean, binary: Buffer = Buffer.alloc(0)): WireInferResponse {
  let at = 0;
  const outputs = ((json["outputs"] as readonly HttpOutput[] | undefined) ?? []).map((output) => {
    const { name, datatype, shape, data, parameters } = output;
    const size = parameters?.binary_data_size;
    const encoded =
      size === undefined ? encodeElements(name, datatype, (data ?? []).flat(Infinity)) : binary.subarray(at, at + size);
    at += size ?? 0;
    return { name, datatype, shape, encoded };
  });
  return {
    modelName: String(json["model_name"] ?? ""),
    modelVersion: String(json["model_version"] ?? "1"),
    id: String(json["id"] ?? ""),
    parameters: wireParameters(Object.entries((json["parameters"] ?? {}) as JsonObject)),
    outputs: outputs.map(({ name, datatype, shape, encoded }) => {
      const { field } = datatypeOf({ name, datatype });
      return isRaw || field === null
        ? { name, datatype, shape }
        : { name, datatype, shape, contents: { [field]: decodeElements(name, datatype, encoded) } };
    }),
    ...(isRaw ? { rawOutputContents: outputs.map(({ encoded }) => encoded) } : {}),
  };
}

/** An HTTP body as a message with all tensors in raw form. Throws `invalid_request`. */
export function messageOfBody({ bytes, json, headBytes }: CallBody): WireInferRequest {
  const inputs = (json["inputs"] ?? []) as readonly HttpOutput[];
  const parameters = Object.entries((json["parameters"] ?? {}) as JsonObject);
  let at = headBytes ?? bytes.length;
  const rawInputContents = inputs.map(({ name, datatype, data, parameters: of }) => {
    const size = of?.binary_data_size;
    if (size === undefined) return encodeElements(name, datatype, (data ?? []).flat(Infinity));
    at += size;
    return bytes.subarray(at - size, at);
  });
  return {
    modelName: "",
    modelVersion: "",
    id: String(json["id"] ?? ""),
    parameters: wireParameters(parameters.filter(([name]) => name !== "binary_data_output")),
    inputs: inputs.map(({ name, datatype, shape }) => ({ name, datatype, shape })),
    outputs: ((json["outputs"] ?? []) as readonly { readonly name: string }[]).map(({ name }) => ({
      name,
      parameters: {},
    })),
    rawInputContents,
  };
}

const wireParameters = (parameters: readonly (readonly [string, unknown])[]): Record<string, WireParameter> =>
  Object.fromEntries(
    parameters.flatMap(([name, value]): [string, WireParameter][] => {
      if (typeof value === "boolean") return [[name, { boolParam: value }]];
      if (typeof value === "string") return [[name, { stringParam: value }]];
      if (typeof value !== "number") return [];
      return [[name, Number.isSafeInteger(value) ? { int64Param: value } : { doubleParam: value }]];
    }),
  );

const jsonParameters = (parameters: WireInferResponse["parameters"] = {}): JsonObject =>
  Object.fromEntries(
    Object.entries(parameters).map(([name, { boolParam, stringParam, int64Param, doubleParam }]) => [
      name,
      int64Param === undefined ? (boolParam ?? doubleParam ?? stringParam) : Number(int64Param),
    ]),
  );

/** A message's tensor in binary form. */
const rawOf = (
  { rawOutputContents = [] }: WireInferResponse,
  { name, datatype, contents }: WireTensor,
  index: number,
): Buffer => {
  const { field } = datatypeOf({ name, datatype });
  return rawOutputContents[index] ?? encodeElements(name, datatype, field === null ? [] : (contents?.[field] ?? []));
};

const answerHead = ({ modelName, modelVersion, id, parameters }: WireInferResponse): JsonObject => ({
  model_name: modelName,
  model_version: modelVersion,
  ...(id ? { id } : {}),
  ...(Object.keys(parameters ?? {}).length === 0 ? {} : { parameters: jsonParameters(parameters) }),
});

/** A gRPC answer in HTTP's format, with binary tensors. */
export function bodyOfResponse(response: WireInferResponse): { readonly bytes: Buffer; readonly headBytes: number } {
  const { outputs = [] } = response;
  const binary = outputs.map((output, index) => rawOf(response, output, index));
  const head = Buffer.from(
    JSON.stringify({
      ...answerHead(response),
      outputs: outputs.map(({ name, datatype, shape }, index) => ({
        name,
        datatype,
        shape: shape.map(Number),
        parameters: { binary_data_size: binary[index]?.length },
      })),
    }),
  );
  return { bytes: Buffer.concat([head, ...binary]), headBytes: head.length };
}

/** A part of a streamed answer as an event. */
export function eventOfResponse(response: WireInferResponse): Buffer {
  const outputs = (response.outputs ?? []).map((output, index) => {
    const { name, datatype, shape } = output;
    const data = decodeElements(name, datatype, rawOf(response, output, index));
    return {
      name,
      datatype,
      shape: shape.map(Number),
      data: data.map((each) => (Buffer.isBuffer(each) ? each.toString() : each)),
    };
  });
  return Buffer.from(`data: ${JSON.stringify({ ...answerHead(response), outputs })}\n\n`);
}
