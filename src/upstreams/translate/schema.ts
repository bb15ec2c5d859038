import type { Extras } from "./dialect.ts";
import { isObject, refused } from "./refuse.ts";
import type { CallOptions, JsonSchema } from "./sdk.ts";

/** Keywords whose value is a schema, a list of schemas, or schemas by name. */
const ONE = ["items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames"];
const LISTS = ["anyOf", "oneOf", "allOf", "prefixItems"];
const MAPS = ["properties", "patternProperties", "$defs", "definitions", "dependentSchemas"];

/** The path of the first keyword in a JSON Schema that is among these; null: there is none. */
export function findKeyword(schema: unknown, keywords: ReadonlySet<string>, path: string): string | null {
  if (!isObject(schema)) return null;
  for (const [name, value] of Object.entries(schema)) {
    const here = `${path}.${name}`;
    if (keywords.has(name)) return here;
    const inner: readonly (readonly [string, unknown])[] =
      ONE.includes(name) && !Array.isArray(value)
        ? [[here, value]]
        : (LISTS.includes(name) || ONE.includes(name)) && Array.isArray(value)
          ? value.map((each, index) => [`${here}[${index}]`, each] as const)
          : MAPS.includes(name) && isObject(value)
            ? Object.entries(value).map(([key, each]) => [`${here}.${key}`, each] as const)
            : [];
    for (const [at, each] of inner) {
      const found = findKeyword(each, keywords, at);
      if (found !== null) return found;
    }
  }
  return null;
}

/** The schema that the answer has to follow; null: there is none, or it need only try. Throws for keywords that nothing enforces. */
export function strictSchemaOf(
  { responseFormat }: CallOptions,
  extras: Extras,
  unenforced: ReadonlySet<string>,
): JsonSchema | null {
  const schema = responseFormat?.type === "json" ? responseFormat.schema : undefined;
  if (schema === undefined || !extras.strictSchema) return null;
  const found = findKeyword(schema, unenforced, "schema");
  if (found === null) return schema;
  throw refused(
    "response_format",
    `The provider does not enforce "${found}", which a strict schema asks for.`,
    "Leave the keyword or `strict` out: without `strict` it is described to the model.",
  );
}
