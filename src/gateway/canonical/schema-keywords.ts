import { AssistantError } from "../../core/errors.ts";
import { MAX_OPTIONAL } from "./emptiness.ts";
import { FORMAT_PATTERNS, type FormatPattern } from "./format-patterns.ts";
import { BlockingPattern, toGrammarPattern, UnsupportedPattern } from "./pattern.ts";
import { type Body, invalid, isObject, isString, shown } from "./rules.ts";

/** Keywords by the type of value they apply to. They have no effect on other types. */
export const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  object:
    "properties required additionalProperties patternProperties propertyNames minProperties maxProperties dependentRequired dependentSchemas dependencies unevaluatedProperties".split(
      " ",
    ),
  array:
    "items prefixItems additionalItems contains minContains maxContains minItems maxItems uniqueItems unevaluatedItems".split(
      " ",
    ),
  string: "pattern format minLength maxLength".split(" "),
  number: "minimum maximum exclusiveMinimum exclusiveMaximum multipleOf".split(" "),
};
/** Keywords for values of every type. */
export const GENERAL = "$ref anyOf oneOf allOf const enum not if then else $dynamicRef $recursiveRef".split(" ");
export const CONSTRAINTS = [...GENERAL, ...Object.values(KEYWORDS).flat()];
export const TYPES = ["object", "array", "string", "number", "integer", "boolean", "null"];
const FORMATS = /^(?:date|time|date-time|uuid[1-5]?)$/;

/** A grammar implements repetition by copying, and has its own limit not far above. */
const MAX_REPETITIONS = 1_000;
export const MAX_ALTERNATIVES = 2_000;

export const unenforced = (param: string, keyword: string, where = ""): Error =>
  unsupported(
    param,
    `The JSON Schema keyword "${keyword}" cannot be enforced${where === "" ? "" : ` ${where}`}, at "${param}".`,
  );

const unsupported = (param: string, message: string): Error =>
  new AssistantError("invalid_request", message, {
    param,
    remedy: "Leave it out, and check the answer in the client; a `description` tells the model what is expected.",
  });

export function refuse(said: readonly string[], names: readonly string[], at: string, where?: string): void {
  const found = said.find((name) => names.includes(name));
  if (found !== undefined) throw unenforced(`${at}.${found}`, found, where);
}
export function objectOf(value: unknown, at: string): Body {
  if (isObject(value)) return value;
  throw invalid(at, `"${at}" must be an object of schemas; found ${shown(value)}.`);
}

export function listOf(value: unknown, at: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw invalid(at, `"${at}" must be a non-empty array of schemas; found ${shown(value)}.`);
}
export function checkValues(schema: Body, said: readonly string[], at: string): Body {
  const name = said.includes("const") ? "const" : "enum";
  refuse(
    said,
    CONSTRAINTS.filter((other) => other !== name),
    at,
    `beside ${name}`,
  );
  const values = name === "const" ? [schema.const] : schema.enum;
  if (!Array.isArray(values) || values.length === 0)
    throw invalid(`${at}.enum`, `"${at}.enum" must be a non-empty array; found ${shown(values)}.`);
  if (values.length > MAX_ALTERNATIVES)
    throw invalid(`${at}.enum`, `"${at}.enum" must have at most ${MAX_ALTERNATIVES} values; it has ${values.length}.`);
  const types = schema.type === undefined ? null : [schema.type].flat();
  if (types !== null && !values.every((value) => types.some((type) => isOfType(value, type))))
    throw unenforced(`${at}.type`, "type", `next to ${name} with values of another`);
  return schema;
}

function isOfType(value: unknown, type: unknown): boolean {
  if (type === "integer") return Number.isInteger(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  if (type === "object") return isObject(value);
  return typeof value === type;
}

export function checkText(schema: Body, said: readonly string[], at: string): Body {
  const { pattern, format } = schema;
  const written = isString(format) ? FORMAT_PATTERNS[format] : undefined;
  if (pattern === undefined && written !== undefined && allowsLengths(schema, written))
    return { ...schema, pattern: toGrammarPattern(written.pattern) };
  // Beside a pattern, a format is an annotation: generators write both for the same thing.
  const form = ["pattern", "format"].find((name) => said.includes(name));
  const bound = said.find((name) => name === "minLength" || name === "maxLength");
  if (form !== undefined && bound !== undefined) throw unenforced(`${at}.${bound}`, bound, `beside ${form}`);
  boundsOf(schema, "minLength", "maxLength", at);
  if (form === "format" && !(isString(format) && FORMATS.test(format))) {
    const formats = ["date", "time", "date-time", ...Object.keys(FORMAT_PATTERNS)].join(", ");
    throw unsupported(
      `${at}.format`,
      `The JSON Schema keyword "format" cannot be enforced for ${shown(format)}, at "${at}.format"; ${formats} and uuid can.`,
    );
  }
  if (pattern === undefined) return schema;
  if (!isString(pattern)) throw invalid(`${at}.pattern`, `"${at}.pattern" must be a string; found ${shown(pattern)}.`);
  refuseLongPattern(pattern, at);
  try {
    return { ...schema, pattern: toGrammarPattern(pattern) };
  } catch (error) {
    if (!(error instanceof UnsupportedPattern)) throw error;
    throw unsupported(
      `${at}.pattern`,
      `The JSON Schema keyword "pattern" cannot be enforced for this pattern, at "${at}.pattern": ${error.message}.`,
    );
  }
}

function refuseLongPattern(pattern: string, at: string): void {
  if (pattern.length > 1_000) throw invalid(`${at}.pattern`, `"${at}.pattern" must have at most 1000 characters.`);
}

/** Whether all strings of a format have a length that the schema allows. */
function allowsLengths(
  { minLength: least = 0, maxLength: most = Number.POSITIVE_INFINITY }: Body,
  { shortest, longest }: FormatPattern,
): boolean {
  return typeof least === "number" && least <= shortest && typeof most === "number" && most >= longest;
}

export function checkInteger(schema: Body, said: readonly string[], at: string): Body {
  refuse(said, ["multipleOf"], at);
  for (const [first, second] of [
    ["minimum", "exclusiveMinimum"],
    ["maximum", "exclusiveMaximum"],
  ] as const) {
    if (said.includes(first) && said.includes(second)) throw unenforced(`${at}.${second}`, second, `beside ${first}`);
    for (const name of [first, second]) {
      const bound = schema[name];
      if (bound !== undefined && !(typeof bound === "number" && Math.abs(bound) <= Number.MAX_SAFE_INTEGER))
        throw invalid(`${at}.${name}`, `"${at}.${name}" must be a number of at most 2^53; found ${shown(bound)}.`);
    }
  }
  refuseNoInteger(schema, at);
  return schema;
}

function refuseNoInteger({ minimum, exclusiveMinimum, maximum, exclusiveMaximum }: Body, at: string): void {
  const number = (value: unknown, otherwise: number): number => (typeof value === "number" ? value : otherwise);
  const least = Math.ceil(number(minimum, Math.floor(number(exclusiveMinimum, Number.NEGATIVE_INFINITY)) + 1));
  const most = Math.floor(number(maximum, Math.ceil(number(exclusiveMaximum, Number.POSITIVE_INFINITY)) - 1));
  if (least > most) throw invalid(at, `"${at}" allows no integer: none is at least ${least} and at most ${most}.`);
}

/** Minimum and maximum of a repetition. */
export function boundsOf(schema: Body, min: string, max: string, at: string): [number, number] {
  const [least, most] = [min, max].map((name) => {
    const bound = schema[name];
    if (bound === undefined) return null;
    if (!(Number.isInteger(bound) && (bound as number) >= 0 && (bound as number) <= MAX_REPETITIONS)) {
      throw invalid(
        `${at}.${name}`,
        `"${at}.${name}" must be an integer from 0 to ${MAX_REPETITIONS}, to be enforced; found ${shown(bound)}.`,
      );
    }
    return bound as number;
  });
  if ((most ?? Number.POSITIVE_INFINITY) < (least ?? 0))
    throw invalid(`${at}.${max}`, `"${at}.${max}" must not be less than ${min}.`);
  return [least ?? 0, most ?? Number.POSITIVE_INFINITY];
}

/** A larger minimum is an error of llama.cpp's that does not name it. */
const MAX_LEAST = 2_000;

const BOUNDS = [
  ["minItems", "maxItems"],
  ["minLength", "maxLength"],
  ["minProperties", "maxProperties"],
  ["minimum", "maximum"],
] as const;

/**
 * Throws `invalid_request` for bounds that no value meets, in a schema that is not enforced otherwise. An engine makes a
 * grammar of it, and for more at least than at most adds rules until it has used all memory.
 */
export function refuseContradictions(schema: Body, at: string): void {
  for (const [min, max] of BOUNDS) {
    const [least, most] = [schema[min], schema[max]];
    if (typeof least === "number" && typeof most === "number" && least > most)
      throw invalid(`${at}.${max}`, `"${at}.${max}" must not be less than ${min}; found ${most} and ${least}.`);
  }
  for (const name of ["minItems", "minLength"] as const) {
    const least = schema[name];
    if (typeof least === "number" && least > MAX_LEAST)
      throw invalid(`${at}.${name}`, `"${at}.${name}" must be at most ${MAX_LEAST}, for a grammar; found ${least}.`);
  }
  if ([schema.type].flat().includes("integer")) refuseNoInteger(schema, at);
  if (isString(schema.pattern)) refuseLongPattern(schema.pattern, at);
  const problem = isString(schema.pattern) ? blockingPart(schema.pattern) : null;
  if (problem !== null) throw invalid(`${at}.pattern`, `"${at}.pattern" would block an engine: ${problem}.`);
}

/** Why an engine that makes a grammar of the pattern would be blocked by it, or null. */
function blockingPart(pattern: string): string | null {
  const bare = pattern.replace(/\\[\s\S]|\[(?:\\[\s\S]|[^\]\\])*\]/gu, "x");
  // Engines ignore a pattern with such a group.
  if (/\(\?(?!:)/u.test(bare)) return null;
  try {
    toGrammarPattern(pattern);
    return null;
  } catch (error) {
    if (!(error instanceof UnsupportedPattern)) throw error;
    if (error instanceof BlockingPattern) return error.message;
  }
  // One that only the engine understands: as many parts as may be empty at most. Its numbers end at other characters.
  let copies = 1;
  for (const [, least = "", most = least] of bare.matchAll(/\{([^},]*)(?:,([^},]*))?/gu)) {
    if (Number.parseInt(least, 10) > Number.parseInt(most, 10))
      return `it repeats at least ${least} and at most ${most} times`;
    copies *= Math.max(1, Number.parseInt(most, 10) || 1);
  }
  const optional = copies * (bare.match(/[?*|]|\{\s*0/gu)?.length ?? 0);
  return optional > MAX_OPTIONAL ? `up to ${optional} parts in a row may be empty` : null;
}

/** The object with these values, or itself if it already has them. */
export const merged = (object: Body, values: Body): Body =>
  Object.entries(values).every(([name, value]) => object[name] === value) ? object : { ...object, ...values };

export const withList = (schema: Body, name: string, list: readonly unknown[]): Body =>
  list.every((item, index) => item === (schema[name] as readonly unknown[])[index])
    ? schema
    : { ...schema, [name]: list };
