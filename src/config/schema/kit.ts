import type { TProperties, TSchema } from "typebox";
import { Type } from "../../core/schema.ts";

/** A key in the reference system's file, and how it is handled here: a row of the table in docs/configuration.md. */
export interface SpecNote {
  /** Value in its default file, as TOML; null where it has none. */
  readonly value: string | null;
  readonly becomes: string;
}

/** Facts of a key that JSON Schema has no word for. */
interface KeyFacts {
  /** Shown as the default, where it is no constant. */
  readonly defaultText?: string;
  readonly unit?: string;
  readonly spec?: SpecNote;
  /** The value may be a secret: messages never show it. */
  readonly secret?: boolean;
  readonly required?: boolean;
}

interface Common extends KeyFacts {
  readonly default?: unknown;
}

/** A key's schema as data, which validation, documentation and messages all read. */
export interface SchemaNode extends KeyFacts {
  readonly type?: "string" | "integer" | "number" | "boolean" | "array" | "object";
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly maxItems?: number;
  readonly pattern?: string;
  readonly patternText?: string;
  readonly const?: string;
  readonly enum?: readonly string[];
  readonly anyOf?: readonly SchemaNode[];
  readonly items?: SchemaNode;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  /** Of a table whose keys the user chooses: one pattern, with the schema of all values. */
  readonly patternProperties?: Readonly<Record<string, SchemaNode>>;
  /** The pattern in words. */
  readonly keysText?: string;
}

export const text = (
  description: string,
  options: Common & { pattern?: string; patternText?: string; minLength?: number; maxLength?: number } = {},
) => Type.Optional(Type.String({ description, ...options }));
/** The name of an environment variable of the daemon. */
export const variableName = (description: string, options: Common = {}) =>
  text(description, {
    pattern: "^[A-Za-z_][A-Za-z0-9_]*$",
    patternText: "the name of an environment variable",
    ...options,
  });
export const requiredText = (
  description: string,
  options: Common & { pattern?: string; patternText?: string; minLength?: number } = {},
) => Type.String({ description, required: true, ...options });
export const flag = (description: string, options: Common = {}) =>
  Type.Optional(Type.Boolean({ description, ...options }));
export const integer = (description: string, options: Common & { minimum?: number; maximum?: number } = {}) =>
  Type.Optional(Type.Integer({ description, ...options }));
export const decimal = (
  description: string,
  options: Common & { minimum?: number; maximum?: number; exclusiveMinimum?: number } = {},
) => Type.Optional(Type.Number({ description, ...options }));
export const list = <T extends TSchema>(items: T, description: string, options: Common & { maxItems?: number } = {}) =>
  Type.Optional(Type.Array(items, { description, ...options }));
export const section = <T extends TProperties>(properties: T, description: string, options: Common = {}) =>
  Type.Optional(Type.Object(properties, { description, additionalProperties: false, ...options }));

/** An array of tables. */
export const entries = <T extends TSchema>(entry: T, description: string) =>
  Type.Optional(Type.Array(entry, { description }));

/** A table whose keys the user chooses, as `pattern` allows; `keysText` says that in words. */
export const freeTable = <T extends TSchema>(
  values: T,
  description: string,
  options: Common & { pattern: string; keysText: string },
) => {
  const { pattern, ...rest } = options;
  return Type.Optional(
    Type.Record(Type.String({ pattern }), values, { description, additionalProperties: false, ...rest }),
  );
};

/** A text, or several. */
export const textOrList = (description: string, options: Common = {}) =>
  Type.Optional(Type.Union([Type.String(), Type.Array(Type.String())], { description, ...options }));

/** One of a few words. */
export const choice = <const T extends string[]>(words: readonly [...T], description: string, options: Common = {}) =>
  Type.Optional(Type.Enum([...words] as [...T], { description, ...options }));

/** A positive integer, or a word that lets Assistant choose. */
export const integerOrAuto = (description: string, options: Common & { minimum?: number } = {}) => {
  const { minimum = 1, ...rest } = options;
  return Type.Optional(Type.Union([Type.Integer({ minimum }), Type.Literal("auto")], { description, ...rest }));
};

/** A schema as plain data. */
export const schemaNode = (schema: TSchema): SchemaNode => schema as SchemaNode;
