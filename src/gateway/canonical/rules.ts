import { AssistantError } from "../../core/errors.ts";
import type { JsonSchema } from "../../core/schema.ts";

export type Body = Readonly<Record<string, unknown>>;

/** A rule for one value: whether it passes, and what was expected otherwise. */
export interface Rule {
  readonly passes: (value: unknown) => boolean;
  readonly expected: string;
}

/** A rule that `/openapi.json` also lists. */
export interface DescribedRule extends Rule {
  /** Schema of the values that pass. */
  readonly schema: JsonSchema;
}

export const isString = (value: unknown): value is string => typeof value === "string";
export const isObject = (value: unknown): value is Body =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** The range of an engine's counters. */
export const INT32_MAX = 2 ** 31 - 1;

export const text: DescribedRule = { passes: isString, expected: "a string", schema: { type: "string" } };
export const boolean: DescribedRule = {
  passes: (value) => typeof value === "boolean",
  expected: "true or false",
  schema: { type: "boolean" },
};
export const object: DescribedRule = { passes: isObject, expected: "an object", schema: { type: "object" } };

export const number = (from: number, to: number): DescribedRule => ({
  passes: (value) => typeof value === "number" && value >= from && value <= to,
  expected: `a number from ${from} to ${to}`,
  schema: { type: "number", minimum: from, maximum: to },
});

export const integer = (from: number, to = INT32_MAX): DescribedRule => ({
  passes: (value) => Number.isInteger(value) && (value as number) >= from && (value as number) <= to,
  expected: to === INT32_MAX ? `an integer of at least ${from}` : `an integer from ${from} to ${to}`,
  schema: { type: "integer", minimum: from, maximum: to },
});

export const oneOf = (...values: readonly string[]): DescribedRule => ({
  passes: (value) => values.includes(value as string),
  expected: values
    .map((value) => JSON.stringify(value))
    .join(", ")
    .replace(/, (?=[^,]*$)/, " or "),
  schema: { type: "string", enum: values },
});

/** At most `most` strings of 1 to `longest` characters. */
export const texts = (most: number, longest: number): DescribedRule => ({
  passes: (value) =>
    Array.isArray(value) &&
    value.length <= most &&
    value.every((item) => isString(item) && item !== "" && item.length <= longest),
  expected: `an array of at most ${most} strings of 1 to ${longest} characters`,
  schema: { type: "array", maxItems: most, items: { type: "string", minLength: 1, maxLength: longest } },
});

export const either = (one: DescribedRule, other: DescribedRule): DescribedRule => ({
  passes: (value) => one.passes(value) || other.passes(value),
  expected: `${one.expected}, or ${other.expected}`,
  schema: { anyOf: [one.schema, other.schema] },
});

/** The schema, or null, which means "not given". */
export function orNull(schema: JsonSchema): JsonSchema {
  const { type, enum: values } = schema;
  if (values !== undefined) return { enum: [...new Set([...(values as readonly unknown[]), null])] };
  return typeof type === "string" ? { ...schema, type: [type, "null"] } : { anyOf: [schema, { type: "null" }] };
}

/** The type of a value, and the value itself if it is short. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (typeof value === "object") return "an object";
  if (typeof value === "number" && !Number.isFinite(value)) return "a number that is too large for any computer";
  const literal = JSON.stringify(value);
  return literal.length <= 40 ? `the ${typeof value} ${literal}` : `a ${typeof value}`;
}

/** `invalid_request` for the value at a path such as `messages[0].role`. */
export const invalid = (param: string, message: string): AssistantError =>
  new AssistantError("invalid_request", message, { param });

/** Throws `invalid_request` naming the path unless the value passes. */
export function mustBe(rule: Rule, value: unknown, at: string): void {
  if (!rule.passes(value)) throw invalid(at, `"${at}" must be ${rule.expected}; found ${shown(value)}.`);
}
