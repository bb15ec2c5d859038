import type { Client, MethodDefinition, ServiceDefinition, ServiceError } from "@grpc/grpc-js";
import { credentials, Metadata, makeGenericClientConstructor, status } from "@grpc/grpc-js";
import fc from "fast-check";
import { loadAssistantService } from "../../src/api/assistant-service.ts";
import { loadInferenceService } from "../../src/api/inference-service.ts";

export interface GrpcFuzzOptions {
  /** Host and port. */
  readonly address: string;
  readonly key: string;
  readonly models: readonly string[];
  readonly requests: number;
  readonly seed: number;
}

export interface GrpcFuzzReport {
  readonly requests: number;
  /** Methods that were called, and the statuses that they answered with, each with how often. */
  readonly reached: ReadonlySet<string>;
  readonly statuses: ReadonlyMap<number, number>;
  readonly problems: readonly string[];
}

const PATIENCE_MS = 20_000;
const AT_ONCE = 8;
/** Nobody explained these to the client. */
const UNEXPLAINED: ReadonlySet<number> = new Set([status.UNKNOWN, status.INTERNAL, status.DATA_LOSS]);
/** What the gRPC library says of bytes that are no message of the method's type. */
const NO_MESSAGE = /deserializ|Error decoding|invalid wire type|index out of range/i;
const MAX_SHOWN = 300;

interface Call {
  readonly name: string;
  readonly method: MethodDefinition<unknown, unknown>;
  readonly messages: readonly unknown[];
}

/** Calls every method of every gRPC service of a daemon with messages of its type, and with bytes that are none. */
export async function fuzzGrpc({ address, key, models, requests, seed }: GrpcFuzzOptions): Promise<GrpcFuzzReport> {
  const { service, modelService, definition } = await loadAssistantService();
  const inference = await loadInferenceService();
  const types = typesOf({ ...definition, ...inference.definition });
  const services = [service, modelService, inference.service].flatMap((each) =>
    Object.values(each as ServiceDefinition),
  );
  const Generic = makeGenericClientConstructor({}, "any");
  const client: Client = new Generic(address, credentials.createInsecure());
  const metadata = new Metadata();
  metadata.set("authorization", `Bearer ${key}`);
  const statuses = new Map<number, number>();
  const problems: string[] = [];
  const perMethod = Math.ceil(requests / services.length);
  const calls = services.flatMap((method, index) =>
    fc.sample(callsOf(method, types, models), { numRuns: perMethod, seed: seed + index }),
  );
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < calls.length) {
      const at = next++;
      const call = calls[(at % services.length) * perMethod + Math.floor(at / services.length)] as Call;
      const { code, details } = await send(client, call, metadata);
      statuses.set(code, (statuses.get(code) ?? 0) + 1);
      const isHung = code === status.DEADLINE_EXCEEDED;
      if (isHung || (UNEXPLAINED.has(code) && !NO_MESSAGE.test(details)))
        problems.push(`${call.name}: ${status[code]} ${details}: ${JSON.stringify(call.messages).slice(0, MAX_SHOWN)}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  client.close();
  return { requests: calls.length, reached: new Set(calls.map(({ name }) => name)), statuses, problems };
}

function send(
  client: Client,
  { method, messages }: Call,
  metadata: Metadata,
): Promise<{ code: number; details: string }> {
  const { path, requestSerialize, requestStream, responseStream } = method;
  const serialize = (value: unknown): Buffer => (Buffer.isBuffer(value) ? value : requestSerialize(value));
  const options = { deadline: Date.now() + PATIENCE_MS };
  const [first] = messages;
  return new Promise((resolve) => {
    const over = ({ code, details }: Pick<ServiceError, "code" | "details">): void => resolve({ code, details });
    const bytes = (answer: Buffer): Buffer => answer;
    if (!requestStream && !responseStream) {
      const call = client.makeUnaryRequest(path, serialize, bytes, first, metadata, options, () => {});
      call.on("status", over);
      return;
    }
    if (!requestStream) {
      const stream = client.makeServerStreamRequest(path, serialize, bytes, first, metadata, options);
      stream
        .on("data", () => {})
        .on("error", () => {})
        .on("status", over);
      return;
    }
    const stream = client.makeBidiStreamRequest(path, serialize, bytes, metadata, options);
    stream
      .on("data", () => {})
      .on("error", () => {})
      .on("status", over);
    for (const message of messages) stream.write(message);
    stream.end();
  });
}

interface Field {
  readonly name: string;
  readonly label: string;
  readonly type: string;
  readonly typeName: string;
}
interface MessageType {
  readonly name: string;
  readonly field: readonly Field[];
  readonly nestedType: readonly MessageType[];
}
type Types = ReadonlyMap<string, MessageType>;

/** Message types by the last part of their name, those within others too. */
function typesOf(definition: Readonly<Record<string, unknown>>): Types {
  const found = new Map<string, MessageType>();
  const take = (type: MessageType): void => {
    found.set(type.name, type);
    for (const nested of type.nestedType ?? []) take(nested);
  };
  for (const entry of Object.values(definition) as { readonly type?: MessageType }[])
    if (entry.type?.field !== undefined) take(entry.type);
  return found;
}

function callsOf(
  method: MethodDefinition<unknown, unknown>,
  types: Types,
  models: readonly string[],
): fc.Arbitrary<Call> {
  const { type } = (method as unknown as { readonly requestType: { readonly type: MessageType } }).requestType;
  const message = fc.oneof(
    { weight: 8, arbitrary: messagesOf(type, types, models, 3) },
    { weight: 1, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 20 }).map((bytes) => Buffer.from(bytes)) },
  );
  const messages = fc.array(message, { minLength: 1, maxLength: method.requestStream ? 3 : 1 });
  return messages.map((list) => ({ name: method.path, method, messages: list }));
}

/** Each field is there or not; names are those of models as often as not. */
function messagesOf(type: MessageType, types: Types, models: readonly string[], depth: number): fc.Arbitrary<object> {
  const fields = (type.field ?? []).map((field) => {
    const nested = nestedOf(field, type, types);
    const ofMap = nested === null ? undefined : valueOfMap(nested);
    if (nested !== null && ofMap !== undefined) {
      const value =
        depth === 0 ? fc.constant({}) : fieldValues(ofMap, nestedOf(ofMap, nested, types), types, models, depth - 1);
      return [field.name, fc.dictionary(fc.constantFrom(...NAMES), value, { maxKeys: 2 })] as const;
    }
    const value = fieldValues(field, nested, types, models, depth);
    return [field.name, field.label === "LABEL_REPEATED" ? fc.array(value, { maxLength: 2 }) : value] as const;
  });
  return fc.record(Object.fromEntries(fields), { requiredKeys: [] });
}

/** Of parameters and headers. */
const NAMES = ["temperature", "max_tokens", "x-request-id", "content-type", "a b", ""];

/** Null: it is of a plain type. Maps of several messages have types of one name, each within its message. */
const nestedOf = ({ type, typeName }: Field, within: MessageType, types: Types): MessageType | null => {
  if (type !== "TYPE_MESSAGE") return null;
  const name = typeName.split(".").at(-1) ?? "";
  return within.nestedType?.find((nested) => nested.name === name) ?? types.get(name) ?? null;
};

const valueOfMap = ({ field }: MessageType): Field | undefined =>
  field.length === 2 && field[0]?.name === "key" ? field.find(({ name }) => name === "value") : undefined;

function fieldValues(
  { name, type }: Field,
  nested: MessageType | null,
  types: Types,
  models: readonly string[],
  depth: number,
): fc.Arbitrary<unknown> {
  if (nested !== null) return depth === 0 ? fc.constant({}) : messagesOf(nested, types, models, depth - 1);
  switch (type) {
    case "TYPE_STRING":
      if (name === "datatype") return fc.constantFrom("BYTES", "FP32", "INT64", "BOOL", "FP16", "");
      if (name === "path") return fc.constantFrom(...PATHS);
      return fc.oneof(fc.constantFrom(...models, "text_input", "nowhere", "%00"), fc.string({ maxLength: 8 }));
    case "TYPE_BYTES":
      return fc.oneof(
        fc.constantFrom(...models).map((model) => Buffer.from(JSON.stringify({ model, content: "a", max_tokens: 1 }))),
        fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes)),
      );
    case "TYPE_BOOL":
      return fc.boolean();
    case "TYPE_DOUBLE":
    case "TYPE_FLOAT":
      return fc.double();
    default:
      return fc.integer({ min: -3, max: 5 });
  }
}

const PATHS = ["/v1/chat/completions", "/v1/models", "/tokenize", "/props", "/admin/status", "/v1/..", ""];
