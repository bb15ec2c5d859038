import { AssistantError } from "../../core/errors.ts";

export type Body = Readonly<Record<string, unknown>>;

/** A rule for one value: whether it passes, and what to say where it does not. */
export interface Rule {
  readonly passes: (value: unknown) => boolean;
  readonly expected: string;
}

export const isString = (value: unknown): value is string => typeof value === "string";
export const isObject = (value: unknown): value is Body =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** What an engine keeps a count in. */
export const INT32_MAX = 2 ** 31 - 1;

export const text: Rule = { passes: isString, expected: "a string" };
export const boolean: Rule = { passes: (value) => typeof value === "boolean", expected: "true or false" };
export const object: Rule = { passes: isObject, expected: "an object" };

export const number = (from: number, to: number): Rule => ({
  passes: (value) => typeof value === "number" && value >= from && value <= to,
  expected: `a number from ${from} to ${to}`,
});

export const integer = (from: number, to = INT32_MAX): Rule => ({
  passes: (value) => Number.isInteger(value) && (value as number) >= from && (value as number) <= to,
  expected: to === INT32_MAX ? `an integer of at least ${from}` : `an integer from ${from} to ${to}`,
});

export const oneOf = (...values: readonly string[]): Rule => ({
  passes: (value) => values.includes(value as string),
  expected: values
    .map((value) => JSON.stringify(value))
    .join(", ")
    .replace(/, (?=[^,]*$)/, " or "),
});

/** At most `most` texts of 1 to `longest` characters. */
export const texts = (most: number, longest: number): Rule => ({
  passes: (value) =>
    Array.isArray(value) &&
    value.length <= most &&
    value.every((item) => isString(item) && item !== "" && item.length <= longest),
  expected: `an array of at most ${most} strings of 1 to ${longest} characters`,
});

export const either = (one: Rule, other: Rule): Rule => ({
  passes: (value) => one.passes(value) || other.passes(value),
  expected: `${one.expected}, or ${other.expected}`,
});

/** The kind of a value, and the value itself where it is short. */
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
