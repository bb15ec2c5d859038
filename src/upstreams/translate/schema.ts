import type { Extras } from "./dialect.ts";
import { isList, isObject, mustBe, refused } from "./refuse.ts";
import type { CallOptions, JsonSchema } from "./sdk.ts";

/** Keywords whose value is a schema, a list of schemas, or schemas by name. */
const ONE = ["items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"];
const LISTS = ["anyOf", "oneOf", "allOf", "prefixItems"];
const MAPS = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/** The keywords of a JSON Schema, each with its path. Throws `invalid_request` for an invalid schema. */
function* keywordsIn(schema: unknown, path: string): Generator<readonly [name: string, path: string]> {
  if (typeof schema === "boolean") return;
  for (const [name, value] of Object.entries(mustBe(schema, isObject, "a JSON Schema", path))) {
    const here = `${path}.${name}`;
    yield [name, here];
    for (const [at, inner] of schemasIn(name, value, here)) yield* keywordsIn(inner, at);
  }
}

function schemasIn(name: string, value: unknown, at: string): (readonly [path: string, schema: unknown])[] {
  if (LISTS.includes(name) || (ONE.includes(name) && Array.isArray(value)))
    return mustBe(value, isList, "an array of JSON Schemas", at).map((each, index) => [`${at}[${index}]`, each]);
  if (ONE.includes(name)) return [[at, value]];
  if (!MAPS.includes(name)) return [];
  return Object.entries(mustBe(value, isObject, "an object of JSON Schemas", at)).map(([key, each]) => [
    `${at}.${key}`,
    each,
  ]);
}

/** Throws `invalid_request` if the structure is not that of a JSON Schema, which the SDKs assume. */
export function checkSchema(schema: unknown, at: string): JsonSchema {
  for (const _ of keywordsIn(schema, at));
  return mustBe(schema, isObject, "a JSON Schema", at) as JsonSchema;
}

/**
 * The schema that the answer must follow; null: there is none, or it is only a hint. Throws for keywords that nothing
 * enforces.
 */
export function strictSchemaOf(
  { responseFormat }: CallOptions,
  extras: Extras,
  unenforced: ReadonlySet<string>,
): JsonSchema | null {
  const schema = responseFormat?.type === "json" ? responseFormat.schema : undefined;
  if (schema === undefined || !extras.strictSchema) return null;
  const found = [...keywordsIn(schema, "schema")].find(([name]) => unenforced.has(name));
  if (found === undefined) return schema;
  throw refused(
    "response_format",
    `The provider does not enforce "${found[1]}", as a strict schema requires.`,
    "Leave the keyword or `strict` out: without `strict` it is described to the model.",
  );
}
