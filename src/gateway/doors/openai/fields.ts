import { AssistantError } from "../../../core/errors.ts";
import type { Operation } from "../../../core/model.ts";

type Body = Readonly<Record<string, unknown>>;

/** A rule for one field: whether a value passes, and what to say where it does not. */
interface Rule {
  readonly passes: (value: unknown) => boolean;
  readonly expected: string;
}

const isString = (value: unknown): value is string => typeof value === "string";
const isObject = (value: unknown): value is Body => typeof value === "object" && value !== null && !Array.isArray(value);
const listOf =
  (passes: (value: unknown) => boolean) =>
  (value: unknown): boolean =>
    Array.isArray(value) && value.length > 0 && value.every(passes);

const text: Rule = { passes: isString, expected: "a string" };
const boolean: Rule = { passes: (value) => typeof value === "boolean", expected: "true or false" };
const object: Rule = { passes: isObject, expected: "an object" };
const list: Rule = { passes: Array.isArray, expected: "an array" };
const number = (from: number, to: number): Rule => ({
  passes: (value) => typeof value === "number" && value >= from && value <= to,
  expected: `a number from ${from} to ${to}`,
});
const integer = (from: number, to = Number.MAX_SAFE_INTEGER): Rule => ({
  passes: (value) => Number.isInteger(value) && (value as number) >= from && (value as number) <= to,
  expected: to === Number.MAX_SAFE_INTEGER ? `an integer of at least ${from}` : `an integer from ${from} to ${to}`,
});

const sampling: Readonly<Record<string, Rule>> = {
  model: text,
  stream: boolean,
  stream_options: object,
  temperature: number(0, 2),
  top_p: number(0, 1),
  presence_penalty: number(-2, 2),
  frequency_penalty: number(-2, 2),
  // -1 is llama.cpp's word for "until the context is full".
  max_tokens: integer(-1),
  n: integer(1, 128),
  seed: integer(Number.MIN_SAFE_INTEGER),
  stop: { passes: (value) => isString(value) || (Array.isArray(value) && value.every(isString)), expected: "a string or an array of strings" },
  user: text,
  logit_bias: { passes: (value) => isObject(value) || Array.isArray(value), expected: "an object" },
};

const prompt: Rule = {
  passes: (value) => isString(value) || listOf(isString)(value) || listOf(Number.isInteger)(value) || listOf(listOf(Number.isInteger))(value),
  expected: "a string, or a non-empty array of strings or of tokens",
};

const rules: Readonly<Record<Operation, Readonly<Record<string, Rule>>>> = {
  chat: {
    ...sampling,
    messages: { passes: Array.isArray, expected: "an array of messages" },
    max_completion_tokens: integer(-1),
    logprobs: boolean,
    top_logprobs: integer(0, 20),
    tools: list,
    parallel_tool_calls: boolean,
    response_format: object,
  },
  completion: { ...sampling, prompt, echo: boolean, suffix: text, best_of: integer(1) },
  embedding: {
    model: text,
    input: prompt,
    encoding_format: { passes: (value) => value === "float" || value === "base64", expected: '"float" or "base64"' },
    dimensions: integer(1),
    user: text,
  },
};

const required = { chat: "messages", completion: "prompt", embedding: "input" } as const;

/** Checks the fields that OpenAI's API defines; all others are the engine's affair. Throws `invalid_request` naming the first wrong one. */
export function checkFields(operation: Operation, body: Body): void {
  const must = required[operation];
  if (body[must] === undefined || body[must] === null) {
    throw new AssistantError("invalid_request", `The field "${must}" is missing: expected ${rules[operation][must]?.expected}.`, { param: must });
  }
  const table = rules[operation];
  for (const field in body) {
    const value = body[field];
    const rule = Object.hasOwn(table, field) ? table[field] : undefined;
    // Null stands for "not given" in OpenAI's API.
    if (rule === undefined || value === null || rule.passes(value)) continue;
    throw new AssistantError("invalid_request", `The field "${field}" must be ${rule.expected}; found ${shown(value)}.`, { param: field });
  }
  if (operation === "chat") checkMessages(body.messages as readonly unknown[]);
}

function checkMessages(messages: readonly unknown[]): void {
  if (messages.length === 0) throw new AssistantError("invalid_request", 'The field "messages" must hold at least one message.', { param: "messages" });
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    if (!isObject(message)) throw new AssistantError("invalid_request", `${at} must be an object; found ${shown(message)}.`, { param: at });
    if (!isString(message.role)) {
      throw new AssistantError("invalid_request", `${at}.role must be a string such as "user"; found ${shown(message.role)}.`, { param: `${at}.role` });
    }
    const { content } = message;
    if (!(content === undefined || content === null || isString(content) || Array.isArray(content))) {
      throw new AssistantError("invalid_request", `${at}.content must be a string or an array of parts; found ${shown(content)}.`, { param: `${at}.content` });
    }
  }
}

/** The kind of a value, and the value itself where it is short. */
function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (value === null) return "null";
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array";
  if (typeof value === "object") return "an object";
  const literal = JSON.stringify(value);
  return literal.length <= 40 ? `the ${typeof value} ${literal}` : `a ${typeof value}`;
}
