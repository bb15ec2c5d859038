import { type DescribedRule, INT32_MAX, integer, isObject, isString, oneOf, texts } from "./rules.ts";

const listOf =
  (passes: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.length > 0 && value.every(passes);

// Engines use -1 internally, and count in 32 bits.
const isToken = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= INT32_MAX;
const TOKEN = integer(0).schema;
const TOKENS = { type: "array", minItems: 1, items: TOKEN };

export const prompt: DescribedRule = {
  passes: (value) =>
    isString(value) || listOf(isString)(value) || listOf(isToken)(value) || listOf(listOf(isToken))(value),
  expected: "a string, or a non-empty array of strings or of tokens",
  schema: {
    anyOf: [
      { type: "string" },
      { type: "array", minItems: 1, items: { type: "string" } },
      TOKENS,
      { type: "array", minItems: 1, items: TOKENS },
    ],
  },
};

/** OpenAI's limit. */
const MAX_INPUTS = 2048;
export const input: DescribedRule = {
  passes: (value) =>
    prompt.passes(value) && (!Array.isArray(value) || typeof value[0] === "number" || value.length <= MAX_INPUTS),
  expected: `${prompt.expected}, at most ${MAX_INPUTS} of them`,
  schema: {
    anyOf: [
      { type: "string" },
      { type: "array", minItems: 1, maxItems: MAX_INPUTS, items: { type: "string" } },
      TOKENS,
      { type: "array", minItems: 1, maxItems: MAX_INPUTS, items: TOKENS },
    ],
  },
};

const stopTexts = texts(128, 1000);
export const stop: DescribedRule = {
  passes: (value) => stopTexts.passes([value]) || stopTexts.passes(value),
  expected: "a string or an array of strings, at most 128 of 1 to 1000 characters",
  schema: { anyOf: [stopTexts.schema["items"], stopTexts.schema] },
};

/** 64 bits, of which engines use the lower 32. */
export const seed: DescribedRule = {
  passes: (value) => Number.isInteger(value) && Math.abs(value as number) <= 2 ** 63,
  expected: "an integer from -2^63 to 2^63",
  schema: { type: "integer", minimum: -(2 ** 63), maximum: 2 ** 63 },
};

const bias = (value: unknown): boolean => (typeof value === "number" && Math.abs(value) <= 1000) || value === false;
const BIAS = { anyOf: [{ type: "number", minimum: -1000, maximum: 1000 }, { const: false }] };
export const logitBias: DescribedRule = {
  passes: (value) =>
    Array.isArray(value)
      ? value.every(
          (pair) =>
            Array.isArray(pair) && pair.length === 2 && (isToken(pair[0]) || isString(pair[0])) && bias(pair[1]),
        )
      : isObject(value) && Object.values(value).every(bias),
  expected: "an object of numbers from -1000 to 1000 (or false) by token, or an array of pairs [token, number]",
  schema: {
    anyOf: [
      { type: "object", additionalProperties: BIAS },
      {
        type: "array",
        items: {
          type: "array",
          prefixItems: [{ anyOf: [TOKEN, { type: "string" }] }, BIAS],
          minItems: 2,
          maxItems: 2,
        },
      },
    ],
  },
};

// `infill` compares every pair of candidates: as the first sampler it takes an engine half a minute per token.
const SAMPLERS = new Set(
  "dry top_k top-k topk top_p top-p topp nucleus top_n_sigma top-n-sigma topnsigma typ_p typ-p typp typ min_p min-p minp temperature temp xtc penalties adaptive_p adaptive-p adaptivep".split(
    " ",
  ),
);
const MAX_SAMPLERS = 32;
const SAMPLER_LETTERS = `^[dkypsmtxea]{0,${MAX_SAMPLERS}}$`;
const samplerLetters = new RegExp(SAMPLER_LETTERS);
export const samplers: DescribedRule = {
  passes: (value) =>
    isString(value)
      ? samplerLetters.test(value)
      : Array.isArray(value) &&
        value.length <= MAX_SAMPLERS &&
        value.every((name) => isString(name) && SAMPLERS.has(name)),
  expected:
    "an array of samplers: dry, top_k, top_p, top_n_sigma, typ_p, min_p, temperature, xtc, penalties, adaptive_p",
  schema: {
    anyOf: [
      { type: "array", maxItems: MAX_SAMPLERS, items: { type: "string", enum: [...SAMPLERS] } },
      { type: "string", pattern: SAMPLER_LETTERS },
    ],
  },
};

export const spoken: DescribedRule = {
  passes: (value) => isString(value) && value.trim() !== "",
  expected: "a non-empty string",
  schema: { type: "string", pattern: "\\S" },
};

/** A number from 0 to 1 in a form. */
const WRITTEN_SHARE = "^(?:0{1,3}(?:\\.\\d{1,12})?|0{0,2}1(?:\\.0{1,12})?)$";
const writtenShareText = new RegExp(WRITTEN_SHARE);
export const writtenShare: DescribedRule = {
  passes: (value) => isString(value) && writtenShareText.test(value),
  expected: "a number from 0 to 1",
  schema: { type: "string", pattern: WRITTEN_SHARE },
};

const granularity = oneOf("word", "segment");
export const granularities: DescribedRule = {
  passes: (value) => [value].flat().every(granularity.passes),
  expected: '"word", "segment" or both',
  schema: { anyOf: [granularity.schema, { type: "array", items: granularity.schema }] },
};

const isScale = (entry: unknown): boolean =>
  isObject(entry) && isToken(entry["id"]) && typeof entry["scale"] === "number" && Math.abs(entry["scale"]) <= 1000;
export const adapters: DescribedRule = {
  passes: (value) => Array.isArray(value) && value.length <= 64 && value.every(isScale),
  expected: "an array of objects with id and scale",
  schema: {
    type: "array",
    maxItems: 64,
    items: {
      type: "object",
      required: ["id", "scale"],
      properties: { id: TOKEN, scale: { type: "number", minimum: -1000, maximum: 1000 } },
    },
  },
};

const toolMode = oneOf("none", "auto", "required");
export const toolChoice: DescribedRule = {
  passes: (value) => toolMode.passes(value) || namedTool(value) !== null,
  expected: '"none", "auto", "required" or {"type": "function", "function": {"name": …}}',
  schema: {
    anyOf: [
      toolMode.schema,
      {
        type: "object",
        required: ["type", "function"],
        properties: {
          type: { const: "function" },
          function: { type: "object", required: ["name"], properties: { name: { type: "string" } } },
        },
      },
    ],
  },
};

/** The name of the function that a `tool_choice` requires; null: it names none. */
export const namedTool = (choice: unknown): string | null =>
  isObject(choice) &&
  choice["type"] === "function" &&
  isObject(choice["function"]) &&
  isString(choice["function"]["name"])
    ? choice["function"]["name"]
    : null;

export const streamOptions: DescribedRule = {
  passes: (value) => isObject(value) && [true, false, null, undefined].includes(value["include_usage"] as boolean),
  expected: 'an object such as {"include_usage": true}',
  schema: { type: "object", properties: { include_usage: { type: ["boolean", "null"] } } },
};

/** 0 is not a valid limit: engines generate one token, or as many as they can. */
export const tokenLimit: DescribedRule = {
  passes: (value) => value === -1 || integer(1).passes(value),
  expected: "an integer of at least 1, or -1",
  schema: { anyOf: [{ const: -1 }, integer(1).schema] },
};

export const pingInterval: DescribedRule = {
  passes: (value) => value === -1 || integer(1, 86_400).passes(value),
  expected: "-1 or an integer from 1 to 86400",
  schema: { anyOf: [{ const: -1 }, integer(1, 86_400).schema] },
};

export const textOnly: DescribedRule = {
  passes: (value) => Array.isArray(value) && value.length === 1 && value[0] === "text",
  expected: '["text"]; no engine gives audio',
  schema: { type: "array", minItems: 1, maxItems: 1, items: { const: "text" } },
};
