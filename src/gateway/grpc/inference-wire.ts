import type {
  WireContents,
  WireInferRequest,
  WireInferResponse,
  WireParameter,
  WireParameters,
  WireTensor,
} from "../../api/inference-service.ts";
import { AssistantError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/inference.ts";
import { type InferResponse, MODEL_VERSION } from "../doors/kserve/answer.ts";
import { type InferRequest, withoutCapability } from "../doors/kserve/request.ts";
import {
  binaryOf,
  type Datatype,
  invalidTensor,
  type OutputTensor,
  type Tensor,
  tensorFromBinary,
  tensorHead,
  tensorOf,
  textFrom,
} from "../doors/kserve/tensors.ts";

/** The field of the typed contents in which a datatype's elements are. */
const fields: Readonly<Record<Datatype, keyof WireContents>> = {
  BOOL: "boolContents",
  UINT8: "uintContents",
  UINT16: "uintContents",
  UINT32: "uintContents",
  UINT64: "uint64Contents",
  INT8: "intContents",
  INT16: "intContents",
  INT32: "intContents",
  INT64: "int64Contents",
  FP32: "fp32Contents",
  FP64: "fp64Contents",
  BYTES: "bytesContents",
};
/** What the loader makes of 64-bit numbers. */
const IN_TEXT: ReadonlySet<Datatype> = new Set(["UINT64", "INT64"]);

/** A message as a request. Throws `invalid_request` naming the tensor. */
export function inferRequestOf(message: WireInferRequest): InferRequest {
  const { modelName, modelVersion, id, rawInputContents: raw, inputs, outputs, refused } = message;
  if (refused !== undefined) throw refused;
  if (raw.length > 0 && raw.length !== inputs.length)
    throw new AssistantError(
      "invalid_request",
      `raw_input_contents has ${raw.length} entries; expected one for each of the ${inputs.length} inputs.`,
      { param: "raw_input_contents" },
    );
  for (const { name, parameters } of [...inputs, ...outputs]) refuseParameters(name, parameters);
  return {
    model: modelName,
    version: modelVersion,
    id,
    ...withoutCapability(parametersOf(message.parameters)),
    inputs: inputs.map((input, index) => tensorFrom(input, raw[index])),
    outputs: outputs.map(({ name }) => name),
  };
}

function tensorFrom({ name, datatype, shape, contents }: WireTensor, raw: Buffer | undefined): Tensor {
  const head = tensorHead(name, datatype, shape.map(Number));
  if (raw === undefined) return tensorOf(head, elementsOf(head.name, head.datatype, contents ?? {}));
  if (Object.values(contents ?? {}).some((elements) => (elements as readonly unknown[]).length > 0))
    throw invalidTensor(name, "has both contents and raw_input_contents; send one of them");
  return tensorFromBinary(head, raw);
}

function elementsOf(name: string, datatype: Datatype, contents: WireContents): readonly unknown[] {
  if (datatype === "BYTES") return (contents.bytesContents ?? []).map((bytes) => textFrom(name, bytes));
  const elements: readonly unknown[] = contents[fields[datatype]] ?? [];
  return IN_TEXT.has(datatype) ? elements.map(Number) : elements;
}

/** Shared memory and classification, of Triton. */
function refuseParameters(tensor: string, parameters: WireParameters = {}): void {
  const [name] = Object.keys(parameters).filter((each) => each !== "content_type" && !each.startsWith("binary_data"));
  if (name !== undefined)
    throw new AssistantError(
      "invalid_request",
      `The parameter "${name.slice(0, 60)}" of the tensor "${tensor.slice(0, 60)}" is not supported.`,
      { param: tensor.slice(0, 60), remedy: "Send tensors in the request itself." },
    );
}

export const parametersOf = (parameters: WireParameters): JsonObject =>
  Object.fromEntries(Object.entries(parameters).map(([name, parameter]) => [name, valueOfParameter(parameter)]));

const valueOfParameter = ({ boolParam, int64Param, uint64Param, doubleParam, stringParam }: WireParameter): unknown => {
  const integer = int64Param ?? uint64Param;
  return integer === undefined ? (boolParam ?? doubleParam ?? stringParam ?? null) : Number(integer);
};

/** An answer as a message, with raw contents if the request had those. */
export function inferResponseOf(response: InferResponse, isRaw: boolean): WireInferResponse {
  const { model: modelName, id, outputs } = response;
  return {
    modelName,
    modelVersion: MODEL_VERSION,
    id,
    parameters: Object.fromEntries(
      Object.entries(response.parameters).map(([name, value]) => [name, { boolParam: value === true }]),
    ),
    outputs: outputs.map((output) => {
      const { name, datatype, shape } = output;
      return isRaw ? { name, datatype, shape } : { name, datatype, shape, contents: contentsOf(output) };
    }),
    ...(isRaw ? { rawOutputContents: outputs.map(binaryOf) } : {}),
  };
}

const contentsOf = ({ datatype, data }: OutputTensor): WireContents =>
  datatype === "BYTES"
    ? { bytesContents: data.map((text) => Buffer.from(String(text))) }
    : { [fields[datatype]]: data };
