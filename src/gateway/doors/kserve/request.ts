import type { IncomingHttpHeaders } from "node:http";
import type { CapabilityQuery } from "../../../core/capability-query.ts";
import { AssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import { parseBody } from "../../canonical/decode.ts";
import { invalid, mustBe, object, type Rule, shown, text } from "../../canonical/rules.ts";
import { capabilitiesOf } from "../../front/selector.ts";
import { invalidTensor, type Tensor, tensorFromBinary, tensorFromJson, tensorHead } from "./tensors.ts";

/** An inference request, over HTTP or gRPC. */
export interface InferRequest {
  /** Name or alias. */
  readonly model: string;
  /** "": any. */
  readonly version: string;
  /** Repeated in the answer; "": it has none. */
  readonly id: string;
  readonly parameters: JsonObject;
  /** The parameter `capability`, which is not in `parameters`. Missing: none. */
  readonly capabilities?: CapabilityQuery;
  readonly inputs: readonly Tensor[];
  /** Names of the requested outputs; empty: the default ones. */
  readonly outputs: readonly string[];
}

/** The model named by a path. */
export type Named = Pick<InferRequest, "model" | "version">;

/** Which outputs of an HTTP answer are binary. */
export type IsBinary = (output: string) => boolean;

const HEADER_LENGTH = "inference-header-content-length";
export const MAX_TENSORS = 64;
const FIELDS = ["id", "parameters", "inputs", "outputs", "model_name", "model_version"];
const list: Rule = { passes: Array.isArray, expected: "an array" };

/** The rest of the path after `/v2/models/`, where a name may contain slashes. */
export function namedBy(rest: string): Named {
  const [, model = rest, version = ""] = /^(.+)\/versions\/([^/]+)$/.exec(rest) ?? [];
  return { model, version };
}

/** The JSON of a body, and its length in bytes. Binary tensors may follow. */
export interface InferHead {
  readonly json: JsonObject;
  readonly length: number;
}

/** Throws `invalid_request` and what `parseBody` throws. */
export function inferHeadOf(bytes: Buffer, headers: IncomingHttpHeaders): InferHead {
  const length = headerLength(headers[HEADER_LENGTH], bytes.length);
  return { json: parseBody(bytes.subarray(0, length)).json, length };
}

/** The body of `infer`. Throws `invalid_request`. */
export function inferRequestOf(
  bytes: Buffer,
  { json, length: headLength }: InferHead,
  named: Named,
): { readonly request: InferRequest; readonly isBinary: IsBinary } {
  const unknown = Object.keys(json).find((name) => !FIELDS.includes(name));
  if (unknown !== undefined)
    throw invalid(unknown, `An inference request has no field "${unknown.slice(0, 60)}"; it has ${FIELDS.join(", ")}.`);
  for (const [field, value] of [
    ["model_name", named.model],
    ["model_version", named.version],
  ] as const)
    if (![undefined, null, "", value].includes(json[field] as string))
      throw invalid(
        field,
        `"${field}" must be the one of the path, ${JSON.stringify(value)}; found ${shown(json[field])}.`,
      );
  const parameters = objectOf(json["parameters"], "parameters");
  const outputs = requestedOutputs(json["outputs"]);
  const { binary_data_output: isAllBinary = false, ...others } = parameters;
  return {
    request: {
      ...named,
      id: idOf(json["id"]),
      ...withoutCapability(others),
      inputs: inputsOf(json["inputs"], bytes.subarray(headLength)),
      outputs: outputs.map(({ name }) => name),
    },
    isBinary: (output) => outputs.find(({ name }) => name === output)?.binary ?? isAllBinary === true,
  };
}

/** The body of `generate`: tensors of one text, and parameters next to them or under `parameters`. */
export function generateRequestOf(bytes: Buffer, named: Named): InferRequest {
  const { id, parameters, text_input: prompt, messages, ...others } = parseBody(bytes).json;
  const inputs = [
    ...textInput("text_input", prompt),
    ...textInput("messages", Array.isArray(messages) ? JSON.stringify(messages) : messages),
  ];
  return {
    ...named,
    id: typeof id === "number" ? String(id) : idOf(id),
    ...withoutCapability({ ...others, ...objectOf(parameters, "parameters") }),
    inputs,
    outputs: [],
  };
}

/** The parameter `capability` selects the model: an object, or its JSON text if parameters cannot be objects. */
export function withoutCapability(given: JsonObject): Pick<InferRequest, "parameters" | "capabilities"> {
  const { capability, ...parameters } = given;
  const capabilities = capabilitiesOf(capability, "capability");
  return capabilities === undefined ? { parameters } : { parameters, capabilities };
}

function textInput(name: string, value: unknown): Tensor[] {
  if (value === undefined || value === null) return [];
  const data = [value].flat();
  return [tensorFromJson(tensorHead(name, "BYTES", [data.length]), data)];
}

function headerLength(header: string | readonly string[] | undefined, bodyLength: number): number {
  if (header === undefined) return bodyLength;
  const length = typeof header === "string" && /^\d{1,15}$/.test(header) ? Number(header) : Number.NaN;
  if (length <= bodyLength) return length;
  throw invalid(
    HEADER_LENGTH,
    `The header Inference-Header-Content-Length must be the length of the body's JSON, at most ${bodyLength}; found ${shown(header)}.`,
  );
}

function idOf(id: unknown): string {
  if (id === undefined || id === null) return "";
  mustBe(text, id, "id");
  return id as string;
}

function objectOf(value: unknown, at: string): JsonObject {
  if (value === undefined || value === null) return {};
  mustBe(object, value, at);
  return value as JsonObject;
}

function listOf(value: unknown, at: string): readonly JsonObject[] {
  mustBe(list, value, at);
  const entries = value as readonly JsonObject[];
  if (entries.length > MAX_TENSORS)
    throw invalid(at, `"${at}" must have at most ${MAX_TENSORS} tensors; found ${entries.length}.`);
  for (const [index, entry] of entries.entries()) {
    mustBe(object, entry, `${at}[${index}]`);
    mustBe(text, entry["name"], `${at}[${index}].name`);
  }
  return entries;
}

function requestedOutputs(value: unknown): readonly { readonly name: string; readonly binary: boolean | undefined }[] {
  if (value === undefined || value === null) return [];
  return listOf(value, "outputs").map((entry, index) => {
    const { binary_data: binary, ...others } = objectOf(entry["parameters"], `outputs[${index}].parameters`);
    refuseOthers(others, `outputs[${index}].parameters`);
    return { name: entry["name"] as string, binary: typeof binary === "boolean" ? binary : undefined };
  });
}

function inputsOf(value: unknown, binary: Buffer): readonly Tensor[] {
  let offset = 0;
  const inputs = listOf(value, "inputs").map((entry, index) => {
    const at = `inputs[${index}]`;
    const name = entry["name"] as string;
    mustBe(text, entry["datatype"], `${at}.datatype`);
    mustBe(list, entry["shape"], `${at}.shape`);
    const head = tensorHead(name, entry["datatype"] as string, entry["shape"] as unknown[]);
    // MLServer's clients use it to repeat the datatype.
    const { binary_data_size: size, content_type: _, ...others } = objectOf(entry["parameters"], `${at}.parameters`);
    refuseOthers(others, `${at}.parameters`);
    if (size === undefined) return tensorFromJson(head, entry["data"]);
    const end = offset + Number(size);
    if (!Number.isSafeInteger(size) || (size as number) < 0 || end > binary.length)
      throw invalidTensor(
        name,
        `has a binary_data_size of ${shown(size)}; ${binary.length - offset} bytes follow the JSON of the body`,
      );
    const bytes = binary.subarray(offset, end);
    offset = end;
    return tensorFromBinary(head, bytes);
  });
  if (offset < binary.length)
    throw invalid(
      "inputs",
      `${binary.length} bytes follow the JSON of the body, and "binary_data_size" of the inputs counts ${offset}.`,
    );
  return inputs;
}

/** Shared memory and classification, of Triton. */
function refuseOthers(parameters: JsonObject, at: string): void {
  const [name] = Object.keys(parameters);
  if (name === undefined) return;
  throw new AssistantError("invalid_request", `"${at}.${name.slice(0, 60)}" is not supported.`, {
    param: at,
    remedy: "Send tensors in the request itself.",
  });
}
