import type TypeBox from "typebox";

/** Marks a property that may be absent. Not enumerable: it is no keyword of JSON Schema. */
const OPTIONAL = "~optional";

type Schema = Record<string, unknown>;

/** A JSON Schema (2020-12) as plain data. */
export type JsonSchema = Readonly<Record<string, unknown>>;
type Options = Readonly<Record<string, unknown>>;

const isOptional = (schema: Schema): boolean => schema[OPTIONAL] === true;

const object = (properties: Readonly<Record<string, Schema>>, options: Options = {}): Schema => {
  const required = Object.keys(properties).filter((name) => !isOptional(properties[name] as Schema));
  return { type: "object", ...(required.length > 0 ? { required } : {}), properties, ...options };
};

/**
 * The typebox builders used here, with its types and results: JSON Schema as plain data. Only the package's types are
 * used; loading its 374 files would add a quarter of a second to each command and each start.
 */
export const Type = {
  Array: (items: Schema, options: Options = {}) => ({ type: "array", items, ...options }),
  Boolean: (options: Options = {}) => ({ type: "boolean", ...options }),
  Enum: (values: readonly string[], options: Options = {}) => ({ enum: values, ...options }),
  Integer: (options: Options = {}) => ({ type: "integer", ...options }),
  Literal: (value: string | number | boolean, options: Options = {}) => ({
    type: typeof value,
    const: value,
    ...options,
  }),
  Null: (options: Options = {}) => ({ type: "null", ...options }),
  Number: (options: Options = {}) => ({ type: "number", ...options }),
  Object: object,
  Optional: (schema: Schema) => Object.defineProperty({ ...schema }, OPTIONAL, { value: true }),
  Record: ({ pattern = "^.*$" }: Schema, values: Schema, options: Options = {}) => ({
    type: "object",
    patternProperties: { [pattern as string]: values },
    ...options,
  }),
  String: (options: Options = {}) => ({ type: "string", ...options }),
  Unsafe: (schema: Schema) => schema,
  Union: (anyOf: readonly Schema[], options: Options = {}) => ({ anyOf, ...options }),
} as unknown as Pick<
  typeof TypeBox,
  | "Array"
  | "Boolean"
  | "Enum"
  | "Integer"
  | "Literal"
  | "Null"
  | "Number"
  | "Object"
  | "Optional"
  | "Record"
  | "String"
  | "Unsafe"
  | "Union"
>;
