import { AssistantError } from "../../core/errors.ts";

export type Body = Readonly<Record<string, unknown>>;

export const isObject = (value: unknown): value is Body =>
  typeof value === "object" && value !== null && !Array.isArray(value);

export const isString = (value: unknown): value is string => typeof value === "string";

export const isNumber = (value: unknown): value is number => typeof value === "number";
export const isBoolean = (value: unknown): value is boolean => typeof value === "boolean";
export const isList = (value: unknown): value is readonly unknown[] => Array.isArray(value);

/** An `invalid_request` about one field. */
export const refused = (param: string, message: string, remedy?: string): AssistantError =>
  new AssistantError("invalid_request", message, { param, ...(remedy === undefined ? {} : { remedy }) });

/** Throws `invalid_request` for a value of another type. `expected`: with its article. */
export function mustBe<T>(value: unknown, passes: (value: unknown) => value is T, expected: string, at: string): T {
  if (passes(value)) return value;
  const found = JSON.stringify(value)?.slice(0, 40) ?? "nothing";
  throw refused(at, `The field "${at}" must be ${expected}; found ${found}.`);
}

/** Null for what is not JSON. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
