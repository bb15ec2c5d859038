import { invalid } from "./errors.ts";

/** A parsed request body. Its readers treat null as absent, as OpenAI's clients send both. */
export type Body = Readonly<Record<string, unknown>>;

interface Range {
  readonly min?: number;
  readonly max?: number;
  readonly integer?: boolean;
}

export const isObject = (value: unknown): value is Body =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const nameOfType = (value: unknown): string =>
  value === null ? "null" : Array.isArray(value) ? "array" : typeof value;

const mustBe = (field: string, expected: string, value: unknown): Error =>
  invalid(`Field '${field}': must be ${expected}, but is ${nameOfType(value)}`);

/** The number in `field`, or null where there is none. */
export function numberOf(
  body: Body,
  field: string,
  { min = -Infinity, max = Infinity, integer = false }: Range = {},
): number | null {
  const value = body[field];
  if (value === undefined || value === null) return null;
  if (typeof value !== "number" || !Number.isFinite(value)) throw mustBe(field, "a number", value);
  if (integer && !Number.isInteger(value)) throw invalid(`Field '${field}': must be an integer, but is ${value}`);
  if (value < min || value > max) throw invalid(`Field '${field}': must be between ${min} and ${max}, but is ${value}`);
  return value;
}

export function flagOf(body: Body, field: string): boolean | null {
  const value = body[field];
  if (value === undefined || value === null) return null;
  if (typeof value !== "boolean") throw mustBe(field, "a boolean", value);
  return value;
}

export function textOf(body: Body, field: string): string | null {
  const value = body[field];
  if (value === undefined || value === null) return null;
  if (typeof value !== "string") throw mustBe(field, "a string", value);
  return value;
}

export function objectOf(body: Body, field: string): Body | null {
  const value = body[field];
  if (value === undefined || value === null) return null;
  if (!isObject(value)) throw mustBe(field, "an object", value);
  return value;
}

/** A string or a list of strings, as a list. Empty strings are left out. */
export function textsOf(body: Body, field: string): string[] | null {
  const value = body[field];
  if (value === undefined || value === null) return null;
  const list: unknown[] = Array.isArray(value) ? value : [value];
  for (const item of list)
    if (typeof item !== "string")
      throw mustBe(field, "a string or a list of strings", Array.isArray(value) ? item : value);
  return (list as string[]).filter((text) => text !== "");
}
