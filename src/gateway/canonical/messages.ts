import type { JsonObject } from "../../core/inference.ts";
import type { JsonSchema } from "../../core/schema.ts";
import {
  type Body,
  type DescribedRule,
  invalid,
  isObject,
  isString,
  mustBe,
  oneOf,
  type Rule,
  shown,
  text,
} from "./rules.ts";

const ROLES = ["system", "developer", "user", "assistant", "tool", "function"];
const role = oneOf(...ROLES);

/**
 * For these, null means "not given", which engines do not understand. Clients return the messages that they received,
 * including nulls.
 */
const NULLABLE = ["name", "tool_calls", "tool_call_id", "reasoning_content"] as const;

const listOfCalls: Rule = { passes: Array.isArray, expected: "an array of tool calls" };
const arguments_: Rule = { passes: (value) => isString(value) || isObject(value), expected: "a string of JSON" };

/** The body with messages that every engine can parse. Throws `invalid_request` naming the first wrong part. */
export function checkMessages(body: JsonObject): JsonObject {
  const messages = body["messages"] as readonly unknown[];
  if (messages.length === 0) throw invalid("messages", 'The field "messages" must hold at least one message.');
  let changed: unknown[] | null = null;
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index];
    const checked = checkMessage(message, index);
    if (checked !== message) {
      changed ??= [...messages];
      changed[index] = checked;
    }
  }
  return changed === null ? body : { ...body, messages: changed };
}

function checkMessage(message: unknown, index: number): unknown {
  if (!isObject(message))
    throw invalid(`messages[${index}]`, `messages[${index}] must be an object; found ${shown(message)}.`);
  if (!ROLES.includes(message.role as string)) {
    const at = `messages[${index}].role`;
    throw invalid(at, `${at} must be ${role.expected}; found ${shown(message.role)}.`);
  }
  const { content } = message;
  if (Array.isArray(content))
    for (let part = 0; part < content.length; part++) checkPart(content[part], `messages[${index}].content[${part}]`);
  let kept = isString(content) || Array.isArray(content) ? message : withoutContent(message, index);
  for (const name of NULLABLE) {
    const value = message[name];
    if (value === undefined) continue;
    if (value === null) kept = without(kept, name);
    else if (name === "tool_calls") {
      const calls = checkCalls(value, `messages[${index}].tool_calls`);
      if (calls !== value) kept = { ...kept, tool_calls: calls };
    } else mustBe(text, value, `messages[${index}].${name}`);
  }
  return kept;
}

/**
 * An assistant message may have tool calls instead of content. After an empty answer it has neither; llama-server
 * requires the field, which many clients leave out where it is null.
 */
function withoutContent(message: Body, index: number): Body {
  const { role, content } = message;
  if (role === "assistant" && content === null) return message;
  if (role === "assistant" && content === undefined) return { ...message, content: null };
  const at = `messages[${index}].content`;
  throw invalid(at, `${at} must be a string or an array of parts; found ${shown(content)}.`);
}

function without(message: Body, name: string): Body {
  const { [name]: _, ...rest } = message;
  return rest;
}

/** The property of a part that contains its data, by the part's type. */
const MEDIA: Readonly<Record<string, readonly string[]>> = {
  image_url: ["url"],
  input_audio: ["data", "url"],
  input_video: ["data", "url"],
  video_url: ["data", "url"],
};

/** An engine would fetch it, with this machine's network access instead of the client's. */
const DATA = "^(?:[dD][aA][tT][aA]:|(?![a-zA-Z][a-zA-Z0-9+.-]*:))";
const EXAMPLE = "data:image/png;base64,iVBORw0KGgo=";

const partSchema: JsonSchema = {
  anyOf: [
    { type: "object", required: ["type", "text"], properties: { type: { const: "text" }, text: text.schema } },
    ...Object.entries(MEDIA).map(([type, names]) => ({
      type: "object",
      required: ["type", type],
      properties: {
        type: { const: type },
        [type]: {
          type: "object",
          anyOf: names.map((name) => ({
            required: [name],
            properties: { [name]: { type: "string", pattern: DATA, examples: [EXAMPLE] } },
          })),
        },
      },
    })),
  ],
};
const callSchema: JsonSchema = {
  type: "object",
  required: ["type", "function"],
  properties: {
    type: { const: "function" },
    id: text.schema,
    function: {
      type: "object",
      required: ["name", "arguments"],
      properties: { name: text.schema, arguments: { type: ["string", "object"] } },
    },
  },
};
const contentSchema: JsonSchema = { anyOf: [text.schema, { type: "array", items: partSchema }] };

/** A conversation. Only checks that it is an array; `checkMessages` checks the rest. */
export const messages: DescribedRule = {
  passes: Array.isArray,
  expected: "an array of messages",
  schema: {
    type: "array",
    minItems: 1,
    items: {
      type: "object",
      required: ["role"],
      properties: {
        role: role.schema,
        content: { anyOf: [contentSchema, { type: "null" }] },
        ...Object.fromEntries(NULLABLE.map((name) => [name, { type: ["string", "null"] }])),
        tool_calls: { type: ["array", "null"], items: callSchema },
      },
      anyOf: [
        { properties: { role: { const: "assistant" } } },
        { required: ["content"], properties: { content: contentSchema } },
      ],
    },
  },
};

function checkPart(part: unknown, at: string): void {
  if (!isObject(part))
    throw invalid(at, `${at} must be an object such as {"type": "text", "text": …}; found ${shown(part)}.`);
  const { type } = part;
  if (type === "text") {
    mustBe(text, part.text, `${at}.text`);
    return;
  }
  const names = isString(type) && Object.hasOwn(MEDIA, type) ? MEDIA[type] : undefined;
  if (names === undefined)
    throw invalid(
      `${at}.type`,
      `${at}.type must be "text", ${Object.keys(MEDIA)
        .map((name) => `"${name}"`)
        .join(", ")}; found ${shown(type)}.`,
    );
  const held = part[type as string];
  const name = names.find((each) => isObject(held) && isString(held[each])) ?? (names[0] as string);
  const data = isObject(held) ? held[name] : undefined;
  mustBe(text, data, `${at}.${type as string}.${name}`);
  // An engine would fetch it, with this machine's network access instead of the client's.
  if (!/^[a-z][a-z0-9+.-]*:/i.test((data as string).slice(0, 40)) || /^data:/i.test(data as string)) return;
  throw invalid(
    `${at}.${type as string}.${name}`,
    `"${at}.${type as string}.${name}" must contain the data itself, as in "data:image/png;base64,…"; URLs are not fetched.`,
  );
}

/** The calls in a form that every engine can parse. */
function checkCalls(calls: unknown, at: string): readonly unknown[] {
  mustBe(listOfCalls, calls, at);
  const given = calls as readonly unknown[];
  const checked = given.map((call, index) => {
    const here = `${at}[${index}]`;
    if (!isObject(call)) throw invalid(here, `"${here}" must be an object; found ${shown(call)}.`);
    mustBe(oneOf("function"), call.type, `${here}.type`);
    if (call.id !== undefined) mustBe(text, call.id, `${here}.id`);
    const called = isObject(call.function) ? call.function : {};
    mustBe(text, called.name, `${here}.function.name`);
    mustBe(arguments_, called.arguments, `${here}.function.arguments`);
    // Clients write this for a call without arguments, but it is not JSON.
    return called.arguments === "" ? { ...call, function: { ...called, arguments: "{}" } } : call;
  });
  return checked.every((call, index) => call === given[index]) ? given : checked;
}
