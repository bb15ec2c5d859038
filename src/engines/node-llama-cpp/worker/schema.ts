import { isDeepStrictEqual } from "node:util";
import type { GbnfJsonSchema } from "node-llama-cpp";
import { invalid, SurfaceError, unsupported } from "./errors.ts";
import { type Body, isObject } from "./fields.ts";

type Loose = Record<string, unknown>;

/** Keywords that restrict values and that the grammar cannot follow. All other unknown ones are annotations. */
const unenforced = new Set([
  ...["pattern", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"],
  ...["uniqueItems", "contains", "minContains", "maxContains", "additionalItems", "unevaluatedItems"],
  ...["patternProperties", "propertyNames", "dependentRequired", "dependentSchemas", "dependencies"],
  ...["unevaluatedProperties", "allOf", "not", "if", "then", "else", "$dynamicRef", "$recursiveRef"],
]);
const scalarTypes = new Set(["string", "number", "integer", "boolean", "null"]);
const formats = new Set(["date-time", "date", "time"]);

const anything: Loose = {
  oneOf: [
    { type: ["string", "number", "boolean", "null"] },
    { type: "object", additionalProperties: true },
    { type: "array" },
  ],
};

const anyObject: Loose = { type: "object", additionalProperties: true };

/**
 * Rewrites a JSON Schema into the part of the language that node-llama-cpp turns into a grammar. What that part cannot
 * express is refused: an answer that only seems to fit its schema is worse than an error.
 */
export function grammarSchema(schema: unknown): GbnfJsonSchema {
  if (!isObject(schema)) throw invalid("The JSON Schema must be an object.");
  return convert(schema, "schema", true) as unknown as GbnfJsonSchema;
}

/**
 * The same for a schema of an object that need not be followed exactly: what a grammar cannot express is left out, and
 * an unusable part stands for anything.
 */
export function describedSchema(schema: Body): GbnfJsonSchema {
  const described = convert(schema, "schema", false);
  return (isDeepStrictEqual(described, anything) ? anyObject : described) as unknown as GbnfJsonSchema;
}

/** Zod writes these for every integer and every record. */
const isNeutral = (keyword: string, value: unknown): boolean =>
  (keyword === "minimum" && value === Number.MIN_SAFE_INTEGER) ||
  (keyword === "maximum" && value === Number.MAX_SAFE_INTEGER) ||
  (keyword === "propertyNames" && isDeepStrictEqual(value, { type: "string" }));

function convert(schema: unknown, at: string, isExact: boolean): Loose {
  if (isExact) return converted(schema, at, true);
  try {
    return converted(schema, at, false);
  } catch (error) {
    if (error instanceof SurfaceError) return anything;
    throw error;
  }
}

function converted(schema: unknown, at: string, isExact: boolean): Loose {
  if (schema === true) return anything;
  if (!isObject(schema))
    throw invalid(`The JSON Schema has ${JSON.stringify(schema)} at ${at}, where a schema is required.`);
  const refused = Object.keys(schema).find(
    (keyword) => unenforced.has(keyword) && !isNeutral(keyword, schema[keyword]),
  );
  if (isExact && refused !== undefined) throw unsupported(`The JSON Schema keyword \`${refused}\` (at ${at})`);
  const defs = { ...definitions(schema.definitions, at, isExact), ...definitions(schema.$defs, at, isExact) };
  return { ...body(schema, at, isExact), ...(Object.keys(defs).length > 0 ? { $defs: defs } : {}) };
}

function definitions(defs: unknown, at: string, isExact: boolean): Loose {
  if (!isObject(defs)) return {};
  return Object.fromEntries(
    Object.entries(defs).map(([name, def]) => [name, convert(def, `${at}.$defs.${name}`, isExact)]),
  );
}

function body(schema: Body, at: string, isExact: boolean): Loose {
  if (typeof schema.$ref === "string") {
    const name = /^#\/(?:\$defs|definitions)\/([^/]+)$/u.exec(schema.$ref)?.[1];
    if (name === undefined) throw unsupported(`The reference ${schema.$ref} (at ${at})`);
    return { $ref: `#/$defs/${name}` };
  }
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices !== undefined) {
    if (!Array.isArray(choices) || choices.length === 0)
      throw invalid(`The JSON Schema needs a list of schemas at ${at}.anyOf.`);
    return { oneOf: choices.map((choice, index) => convert(choice, `${at}.anyOf[${index}]`, isExact)) };
  }
  if (schema.const !== undefined || schema.enum !== undefined) return literal(schema, at);
  return typed(schema, at, isExact);
}

function literal(schema: Body, at: string): Loose {
  const values = schema.enum === undefined ? [schema.const] : schema.enum;
  if (!Array.isArray(values) || values.length === 0)
    throw invalid(`The JSON Schema needs a list of values at ${at}.enum.`);
  if (values.some((value) => typeof value === "object" && value !== null))
    throw unsupported(`A list or object as a fixed value (at ${at})`);
  return { enum: values };
}

function typed(schema: Body, at: string, isExact: boolean): Loose {
  const type = schema.type ?? inferredType(schema);
  if (type === undefined) return anything;
  const types: unknown[] = Array.isArray(type) ? type : [type];
  const [only] = types;
  if (types.length > 1) return { oneOf: types.map((one) => typed({ ...schema, type: one }, at, isExact)) };
  if (only === "object") return object(schema, at, isExact);
  if (only === "array") return array(schema, at, isExact);
  if (typeof only !== "string" || !scalarTypes.has(only))
    throw invalid(`The JSON Schema has the unknown type ${JSON.stringify(only)} at ${at}.`);
  return only === "string" ? text(schema, at, isExact) : { type: only };
}

function inferredType(schema: Body): string | undefined {
  if (schema.properties !== undefined || schema.additionalProperties !== undefined || schema.required !== undefined)
    return "object";
  return schema.items !== undefined || schema.prefixItems !== undefined ? "array" : undefined;
}

function text(schema: Body, at: string, isExact: boolean): Loose {
  const { format } = schema;
  if (typeof format === "string" && formats.has(format)) return { type: "string", format };
  if (format !== undefined && isExact) throw unsupported(`The string format ${JSON.stringify(format)} (at ${at})`);
  return { type: "string", ...limits(schema, "minLength", "maxLength") };
}

function object(schema: Body, at: string, isExact: boolean): Loose {
  const properties = isObject(schema.properties) ? schema.properties : {};
  const required: unknown[] = Array.isArray(schema.required) ? schema.required : [];
  // The grammar writes every listed property, so `required` is always satisfied, but it cannot invent one.
  for (const name of isExact ? required : [])
    if (typeof name !== "string" || !(name in properties))
      throw unsupported(`\`required\` with ${JSON.stringify(name)}, which is no property (at ${at}),`);
  const more = schema.additionalProperties ?? Object.keys(properties).length === 0;
  return {
    type: "object",
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, value]) => [name, convert(value, `${at}.${name}`, isExact)]),
    ),
    additionalProperties: typeof more === "boolean" ? more : convert(more, `${at}.additionalProperties`, isExact),
    ...limits(schema, "minProperties", "maxProperties"),
  };
}

function array(schema: Body, at: string, isExact: boolean): Loose {
  const prefix = schema.prefixItems;
  return {
    type: "array",
    ...(schema.items === undefined ? {} : { items: convert(schema.items, `${at}[]`, isExact) }),
    ...(Array.isArray(prefix)
      ? { prefixItems: prefix.map((item, index) => convert(item, `${at}[${index}]`, isExact)) }
      : {}),
    ...limits(schema, "minItems", "maxItems"),
  };
}

const limits = (schema: Body, ...keywords: readonly string[]): Loose =>
  Object.fromEntries(
    keywords.filter((keyword) => typeof schema[keyword] === "number").map((keyword) => [keyword, schema[keyword]]),
  );
