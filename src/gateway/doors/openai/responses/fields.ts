import type { JsonObject } from "../../../../core/inference.ts";
import { conversation } from "../../../canonical/conversation.ts";
import { serviceTiers } from "../../../canonical/field-table.ts";
import {
  type Body,
  boolean,
  type DescribedRule,
  integer,
  invalid,
  isObject,
  isString,
  mustBe,
  number,
  object,
  oneOf,
  type Rule,
  text,
} from "../../../canonical/rules.ts";

const MAX_PAIRS = 16;

/** OpenAI's limits. */
export const metadata: DescribedRule = {
  passes: (value) =>
    isObject(value) &&
    Object.keys(value).length <= MAX_PAIRS &&
    Object.entries(value).every(([key, held]) => key.length <= 64 && isString(held) && held.length <= 512),
  expected: `an object of at most ${MAX_PAIRS} strings of up to 512 characters, with names of up to 64`,
  schema: {
    type: "object",
    maxProperties: MAX_PAIRS,
    propertyNames: { maxLength: 64 },
    additionalProperties: { type: "string", maxLength: 512 },
  },
};

/** Additional content of an answer. Items of built-in tools never occur, so nothing of them can be missing. */
const INCLUDABLE = [
  "code_interpreter_call.outputs",
  "computer_call_output.output.image_url",
  "file_search_call.results",
  "message.input_image.image_url",
  "message.output_text.logprobs",
  "reasoning.encrypted_content",
  "web_search_call.action.sources",
  "web_search_call.results",
];
const include: DescribedRule = {
  passes: (value) => Array.isArray(value) && value.every((each) => INCLUDABLE.includes(each as string)),
  expected: `an array of ${oneOf(...INCLUDABLE).expected}`,
  schema: { type: "array", items: oneOf(...INCLUDABLE).schema },
};

export const rules: Readonly<Record<string, DescribedRule>> = {
  background: boolean,
  conversation,
  include,
  instructions: text,
  max_output_tokens: integer(1),
  max_tool_calls: integer(1),
  metadata,
  parallel_tool_calls: boolean,
  previous_response_id: text,
  prompt_cache_key: text,
  prompt_cache_retention: oneOf("in_memory", "24h"),
  reasoning: object,
  safety_identifier: text,
  service_tier: oneOf(...Object.keys(serviceTiers)),
  store: boolean,
  stream: boolean,
  stream_options: object,
  temperature: number(0, 2),
  text: object,
  top_logprobs: integer(0, 20),
  top_p: number(0, 1),
  truncation: oneOf("auto", "disabled"),
  user: text,
};
/** Checked where they are translated. */
const TRANSLATED: ReadonlySet<string> = new Set(["input", "model", "tools", "tool_choice"]);

/** Refused fields, and alternatives. */
const refused: Readonly<Record<string, string>> = {
  context_management: "Send the items that the model is to see.",
  moderation: "Omit it: moderation is not supported.",
  prompt: "Send the prompt itself in instructions and input.",
  messages: "Use input.",
  max_tokens: "Use max_output_tokens.",
  max_completion_tokens: "Use max_output_tokens.",
  response_format: "Use text.format.",
  reasoning_effort: "Use reasoning.effort.",
  n: "Send several requests.",
  logprobs: 'Use include = ["message.output_text.logprobs"], and top_logprobs.',
  functions: "Use tools.",
  function_call: "Use tool_choice.",
};

const parts: Readonly<Record<string, Readonly<Record<string, Rule>>>> = {
  reasoning: {
    effort: text,
    summary: oneOf("auto", "concise", "detailed"),
    generate_summary: oneOf("auto", "concise", "detailed"),
  },
  // Would pad each event against traffic analysis.
  stream_options: { include_obfuscation: { passes: (value) => value === false, expected: "false" } },
  text: { format: object, verbosity: oneOf("low", "medium", "high") },
  "text.format": {
    type: oneOf("text", "json_object", "json_schema"),
    name: text,
    description: text,
    schema: object,
    strict: boolean,
  },
};

/**
 * The fields of the Responses API without nulls, validated except for those that are translated, and all others
 * unchanged. Throws `invalid_request` naming the first wrong field.
 */
export function checkedFields(body: JsonObject): { readonly fields: Body; readonly others: Body } {
  const fields: Record<string, unknown> = {};
  const others: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(body)) {
    if (value === null) continue;
    const instead = Object.hasOwn(refused, name) ? refused[name] : undefined;
    if (instead !== undefined) throw invalid(name, `The field "${name}" is not supported here. ${instead}`);
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined;
    if (rule !== undefined) mustBe(rule, value, name);
    (rule !== undefined || TRANSLATED.has(name) ? fields : others)[name] = value;
  }
  const format = (fields["text"] as Body | undefined)?.["format"];
  for (const name of ["reasoning", "stream_options", "text"]) checkParts(name, fields[name]);
  checkParts("text.format", format);
  return { fields, others };
}

function checkParts(at: string, value: unknown): void {
  if (!isObject(value)) return;
  const known = parts[at] as Readonly<Record<string, Rule>>;
  for (const [name, part] of Object.entries(value)) {
    if (part === null) continue;
    const rule = Object.hasOwn(known, name) ? known[name] : undefined;
    if (rule === undefined)
      throw invalid(
        `${at}.${name}`,
        `There is no field "${at}.${name}"; expected one of ${Object.keys(known).join(", ")}.`,
      );
    mustBe(rule, part, `${at}.${name}`);
  }
}
