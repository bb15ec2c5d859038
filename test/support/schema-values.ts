import fc from "fast-check";
import type { JsonSchema } from "../../src/core/schema.ts";

type Values = fc.Arbitrary<unknown>;

const MAX_ITEMS = 3;
const MAX_CHARACTERS = 12;
const DEPTH = 3;

/** Any JSON that is not large. */
export const anyJson: Values = fc.jsonValue({ maxDepth: 2 });

/**
 * Values that a JSON Schema (the keywords that ours use) allows, few and short where it allows more. An optional
 * property is seldom there, so that bodies differ in what they hold. `examples` stand for a pattern that is too hard to
 * follow.
 */
export function valuesOf(schema: JsonSchema, depth = DEPTH): Values {
  if (schema["const"] !== undefined) return fc.constant(schema["const"]);
  if (Array.isArray(schema["enum"])) return fc.constantFrom(...(schema["enum"] as unknown[]));
  const branches = (schema["anyOf"] ?? schema["oneOf"]) as readonly JsonSchema[] | undefined;
  if (branches !== undefined) {
    const { anyOf: _, oneOf: __, ...base } = schema;
    return fc.oneof(...branches.map((branch) => valuesOf(merged(base, branch), depth)));
  }
  const { type } = schema;
  if (Array.isArray(type)) return fc.oneof(...type.map((each) => valuesOf({ ...schema, type: each }, depth)));
  switch (type) {
    case "null":
      return fc.constant(null);
    case "boolean":
      return fc.boolean();
    case "integer":
      return integers(schema);
    case "number":
      return numbers(schema);
    case "string":
      return strings(schema);
    case "array":
      return arrays(schema, depth - 1);
    case "object":
      return objects(schema, depth - 1);
    default:
      return schema["properties"] === undefined ? anyJson : objects(schema, depth - 1);
  }
}

function merged(base: JsonSchema, branch: JsonSchema): JsonSchema {
  const properties = { ...(base["properties"] as object), ...(branch["properties"] as object) };
  const required = [base["required"] ?? [], branch["required"] ?? []].flat();
  return { ...base, ...branch, ...(Object.keys(properties).length > 0 ? { properties } : {}), required };
}

const bound = (schema: JsonSchema, name: string, otherwise: number): number =>
  typeof schema[name] === "number" ? (schema[name] as number) : otherwise;

function integers(schema: JsonSchema): Values {
  const min = bound(schema, "minimum", -1000);
  const max = bound(schema, "maximum", Math.max(min, 1000));
  const from = Math.max(min, Number.MIN_SAFE_INTEGER);
  return fc.oneof(fc.integer({ min: from, max: Math.min(max, from + 100) }), fc.constantFrom(min, max));
}

function numbers(schema: JsonSchema): Values {
  const exclusive = bound(schema, "exclusiveMinimum", Number.NEGATIVE_INFINITY);
  const min = Math.max(bound(schema, "minimum", -1000), exclusive + 0.001);
  const max = bound(schema, "maximum", Math.max(min, 1000));
  return fc.oneof(fc.double({ min, max, noNaN: true }), fc.constantFrom(min, max));
}

function strings(schema: JsonSchema): Values {
  const { pattern, examples, format } = schema;
  if (Array.isArray(examples)) return fc.constantFrom(...(examples as unknown[]));
  if (format === "binary") return fc.constant("x");
  const minLength = bound(schema, "minLength", 0);
  const maxLength = Math.min(bound(schema, "maxLength", MAX_CHARACTERS), Math.max(minLength, MAX_CHARACTERS));
  if (typeof pattern === "string") return fc.stringMatching(new RegExp(pattern, "u"), { size: "-1" });
  return fc.string({ minLength, maxLength, unit: "grapheme" });
}

function arrays(schema: JsonSchema, depth: number): Values {
  const { prefixItems, items } = schema;
  if (Array.isArray(prefixItems)) return fc.tuple(...prefixItems.map((each) => valuesOf(each as JsonSchema, depth)));
  const minLength = bound(schema, "minItems", 0);
  const maxLength =
    depth <= 0 ? minLength : Math.min(bound(schema, "maxItems", MAX_ITEMS), Math.max(minLength, MAX_ITEMS));
  return fc.array(items === undefined ? anyJson : valuesOf(items as JsonSchema, depth), { minLength, maxLength });
}

function objects(schema: JsonSchema, depth: number): Values {
  const properties = Object.entries((schema["properties"] ?? {}) as Record<string, JsonSchema>);
  const required = new Set((schema["required"] ?? []) as readonly string[]);
  const extra = schema["additionalProperties"];
  if (properties.length === 0 && typeof extra === "object" && extra !== null)
    return fc.dictionary(fc.string({ maxLength: 5 }), valuesOf(extra as JsonSchema, depth), { maxKeys: 2 });
  const must = properties.filter(([name]) => required.has(name));
  const may = properties.filter(([name]) => !required.has(name));
  const chosen = depth <= 0 ? fc.constant([]) : fc.subarray(may, { maxLength: Math.min(may.length, MAX_ITEMS) });
  return chosen.chain((optional) =>
    fc.record(Object.fromEntries([...must, ...optional].map(([name, each]) => [name, valuesOf(each, depth)]))),
  );
}
