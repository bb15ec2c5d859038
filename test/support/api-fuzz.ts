import { Agent, request } from "node:http";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import fc from "fast-check";
import type { JsonSchema } from "../../src/core/schema.ts";
import { anyJson, valuesOf } from "./schema-values.ts";

interface Operation {
  readonly method: string;
  readonly path: string;
  readonly body: JsonSchema | null;
  readonly bodyType: string;
  readonly query: readonly { readonly name: string; readonly schema: JsonSchema }[];
  readonly isOfError: ValidateFunction;
  readonly isAnswer: ValidateFunction | null;
}

export interface FuzzRequest {
  readonly operation: Operation;
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface FuzzReport {
  readonly requests: number;
  /** Requests by status, and by operation and status. */
  readonly statuses: ReadonlyMap<number, number>;
  readonly reached: ReadonlySet<string>;
  /** What was found wrong, one line each. */
  readonly problems: readonly string[];
}

export interface FuzzOptions {
  readonly url: string;
  readonly key: string;
  /** Models that exist. */
  readonly models: readonly string[];
  readonly requests: number;
  readonly seed: number;
}

/** They would stop the daemon, or make it ask other machines. */
const LEFT_OUT: ReadonlySet<string> = new Set([
  "POST /admin/shutdown",
  "POST /admin/pulls",
  "POST /api/pull",
  "POST /api/create",
  "POST /api/v1/models/register",
  "POST /api/v1/models/register-from-preset",
  "GET /api/v1/models/download-status/{preset}",
]);
const FORM = "multipart/form-data";
const BOUNDARY = "fuzz";
const AT_ONCE = 16;
const PATIENCE_MS = 20_000;
const MAX_SHOWN = 300;

/** Reads `/openapi.json` of a running daemon, and sends it requests that its schemas allow, and that they do not. */
export async function fuzzApi(options: FuzzOptions): Promise<FuzzReport> {
  const document = (await (await fetch(`${options.url}/openapi.json`)).json()) as Record<string, unknown>;
  const operations = operationsOf(document);
  const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE });
  const statuses = new Map<number, number>();
  const reached = new Set<string>();
  const problems: string[] = [];
  const one = async (each: FuzzRequest): Promise<void> => {
    const { method, path } = each.operation;
    const shown = `${method} ${each.target} ${JSON.stringify(each.headers)} ${each.body.slice(0, MAX_SHOWN)}`;
    try {
      const { status, type, text } = await send(each, options, agent);
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
      reached.add(`${method} ${path}`);
      const wrong = wrongWith(each.operation, status, type, text);
      if (wrong !== null) problems.push(`${wrong} (${status}): ${shown}: ${text.slice(0, MAX_SHOWN)}`);
    } catch (error) {
      problems.push(`${String(error)}: ${shown}`);
    }
  };
  const perOperation = Math.ceil(options.requests / operations.length);
  const all = operations.flatMap((operation, index) =>
    fc.sample(requestsOf(operation, options.models), { numRuns: perOperation, seed: options.seed + index }),
  );
  let next = 0;
  const worker = async (): Promise<void> => {
    // Of all operations in turns, so that requests of different kinds meet.
    while (next < all.length) {
      const at = next++;
      await one(all[(at % operations.length) * perOperation + Math.floor(at / operations.length)] as FuzzRequest);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  agent.destroy();
  return { requests: all.length, statuses, reached, problems };
}

function wrongWith({ isOfError, isAnswer }: Operation, status: number, type: string, text: string): string | null {
  if (status < 400) {
    if (isAnswer === null || !type.startsWith("application/json")) return null;
    return isAnswer(JSON.parse(text))
      ? null
      : `not the answer that is described: ${JSON.stringify(isAnswer.errors?.[0])}`;
  }
  if (status === 500) return "an unexplained error";
  const error: unknown = JSON.parse(text);
  return isOfError(error) ? null : `not the error that is described: ${JSON.stringify(isOfError.errors?.[0])}`;
}

function operationsOf(document: Record<string, unknown>): readonly Operation[] {
  const ajv = new Ajv2020({ strict: false, formats: { binary: true } });
  const { schemas } = document["components"] as { schemas: Record<string, JsonSchema> };
  const resolved = (schema: JsonSchema): JsonSchema =>
    typeof schema["$ref"] === "string" ? (schemas[schema["$ref"].split("/").at(-1) as string] as JsonSchema) : schema;
  const paths = Object.entries(document["paths"] as Record<string, Record<string, Described>>);
  return paths.flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([method]) => !LEFT_OUT.has(`${method.toUpperCase()} ${path}`))
      .map(([method, { requestBody, parameters, responses }]) => {
        const [bodyType, content] = Object.entries(requestBody?.content ?? {})[0] ?? [];
        const success = Object.entries(responses).find(([status]) => status !== "default")?.[1];
        const answer = success?.content?.["application/json"]?.schema;
        const error = responses["default"]?.content?.["application/json"]?.schema;
        return {
          method: method.toUpperCase(),
          path,
          body: content === undefined ? null : resolved(content.schema),
          bodyType: bodyType === FORM ? `${FORM}; boundary=${BOUNDARY}` : (bodyType ?? "application/json"),
          query: parameters.filter((each) => each.in === "query"),
          isOfError: ajv.compile(resolved(error ?? {})),
          isAnswer: answer === undefined ? null : ajv.compile(resolved(answer)),
        };
      }),
  );
}

type Content = Readonly<Record<string, { readonly schema: JsonSchema }>>;
interface Described {
  readonly parameters: readonly { readonly in: string; readonly name: string; readonly schema: JsonSchema }[];
  readonly requestBody?: { readonly content: Content };
  readonly responses: Readonly<Record<string, { readonly content?: Content }>>;
}

/** Requests of one operation: as described, with one mistake, and with a body that is no JSON at all. */
function requestsOf(operation: Operation, models: readonly string[]): fc.Arbitrary<FuzzRequest> {
  const { method, path, query, body, bodyType } = operation;
  const name = fc.oneof(
    { weight: method === "DELETE" ? 0 : 2, arbitrary: fc.constantFrom(...models) },
    { weight: 1, arbitrary: fc.constantFrom("nowhere", "a/b", "%00", "..%2f..", "é", "constructor", "x".repeat(400)) },
  );
  const target = fc
    .tuple(
      name,
      fc.array(fc.tuple(fc.nat(Math.max(0, query.length - 1)), fc.string({ maxLength: 8 })), { maxLength: 2 }),
    )
    .map(([given, pairs]) => {
      const search = pairs.flatMap(([index, value]) =>
        query[index] === undefined ? [] : [`${query[index].name}=${encodeURIComponent(value)}`],
      );
      const encoded = given.includes("%") ? given : encodeURIComponent(given);
      return path.replace(/\{\w+\}/g, encoded) + (search.length > 0 ? `?${search.join("&")}` : "");
    });
  const headers = fc.oneof(
    { weight: 6, arbitrary: fc.constant({ "content-type": bodyType }) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Record<string, string>>(
        { "content-type": "text/plain" },
        { "content-type": bodyType, "content-encoding": "gzip" },
        { "content-type": bodyType, "x-assistant-priority": "-1" },
        { "content-type": bodyType, "x-assistant-timeout-ms": "1" },
        { "content-type": bodyType, accept: "text/html" },
        { "content-type": bodyType.replace(/;.*/, "") },
      ),
    },
  );
  const named = method === "DELETE" ? ["nowhere"] : models;
  const isForm = bodyType.startsWith("multipart/");
  const text = body === null ? fc.constant("") : isForm ? formsOf(body, named) : bodiesOf(body, named);
  return fc.record({ operation: fc.constant(operation), target, headers, body: text });
}

function bodiesOf(schema: JsonSchema, models: readonly string[]): fc.Arbitrary<string> {
  const names = Object.keys((schema["properties"] ?? {}) as object);
  const valid = fc
    .tuple(valuesOf(schema), fc.constantFrom(...models))
    .map(([value, model]) =>
      typeof value === "object" && value !== null && names.includes("model") ? { ...value, model } : value,
    );
  const mistaken = fc
    .tuple(valid, fc.constantFrom("model", "stream", ...names), anyJson)
    .map(([value, field, wrong]) => (typeof value === "object" ? { ...value, [field]: wrong } : wrong));
  const json = fc.oneof(
    { weight: 5, arbitrary: valid },
    { weight: 3, arbitrary: mistaken },
    { weight: 1, arbitrary: anyJson },
  );
  return fc.oneof(
    { weight: 9, arbitrary: json.map((value) => JSON.stringify(value) ?? "") },
    { weight: 1, arbitrary: json.map((value) => (JSON.stringify(value) ?? "").slice(0, -2)) },
    { weight: 1, arbitrary: fc.string({ maxLength: 40, unit: "binary" }) },
  );
}

/** Forms as described, with a field too many or of another kind, and cut off. */
function formsOf(schema: JsonSchema, models: readonly string[]): fc.Arbitrary<string> {
  const properties = (schema["properties"] ?? {}) as Readonly<Record<string, JsonSchema>>;
  const valid = fc
    .tuple(valuesOf(schema), fc.constantFrom(...models))
    .map(([value, model]) => ({ ...(value as object), ...("model" in properties ? { model } : {}) }));
  const parts = valid.map((value) =>
    Object.entries(value).map(([name, field]) => partOf(name, field, properties[name]?.["format"] === "binary")),
  );
  const extra = fc
    .tuple(fc.constantFrom("file", "model", "x", ...Object.keys(properties)), fc.string({ maxLength: 8 }), fc.boolean())
    .map(([name, field, isFile]) => partOf(name, field, isFile));
  const more = fc.tuple(parts, extra).map(([list, part]) => [...list, part]);
  const form = fc.oneof({ weight: 4, arbitrary: parts }, { weight: 3, arbitrary: more });
  const whole = form.map((list) => `${list.join("")}--${BOUNDARY}--\r\n`);
  return fc.oneof(
    { weight: 6, arbitrary: whole },
    { weight: 1, arbitrary: whole.map((text) => text.slice(0, -12)) },
    { weight: 1, arbitrary: fc.string({ maxLength: 40, unit: "binary" }) },
  );
}

function partOf(name: string, value: unknown, isFile: boolean): string {
  const file = isFile ? '; filename="a.jsonl"\r\nContent-Type: application/octet-stream' : "";
  const text = typeof value === "string" ? value : JSON.stringify(value);
  return `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${file}\r\n\r\n${text}\r\n`;
}

function send(
  { operation, target, headers, body }: FuzzRequest,
  { url, key }: FuzzOptions,
  agent: Agent,
): Promise<{ status: number; type: string; text: string }> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const sent = { ...headers, authorization: `Bearer ${key}`, "content-length": Buffer.byteLength(body) };
    const outgoing = request(
      { hostname, port, method: operation.method, path: target, agent, headers: sent, timeout: PATIENCE_MS },
      (answer) => {
        const parts: Buffer[] = [];
        answer.on("data", (part: Buffer) => parts.push(part));
        answer.on("error", reject);
        answer.on("end", () =>
          resolve({
            status: answer.statusCode ?? 0,
            type: answer.headers["content-type"] ?? "",
            text: Buffer.concat(parts).toString(),
          }),
        );
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${PATIENCE_MS} ms`)));
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}
