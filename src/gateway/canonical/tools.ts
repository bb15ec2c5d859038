import { AssistantError } from "../../core/errors.ts";
import type { JsonObject } from "../../core/inference.ts";
import { namedTool } from "./field-rules.ts";
import {
  type Body,
  boolean,
  type DescribedRule,
  invalid,
  isObject,
  isString,
  mustBe,
  object,
  oneOf,
  orNull,
  shown,
  text,
} from "./rules.ts";
import { checkSchema, withoutRest } from "./schema.ts";
import { refuseContradictions } from "./schema-keywords.ts";

const functionType = oneOf("function");
const MAX_NAME = 256;
const functionName: DescribedRule = {
  passes: (value) => isString(value) && value !== "" && value.length <= MAX_NAME,
  expected: `a string of 1 to ${MAX_NAME} characters`,
  schema: { type: "string", minLength: 1, maxLength: MAX_NAME },
};

/**
 * The body with tools that every engine can parse, and with `tool_choice` as a string: engines ignore a choice by name,
 * so it is replaced by that one tool and `required`. Throws `invalid_request`.
 */
export function checkTools(body: JsonObject): JsonObject {
  const { tools, tool_choice: choice } = body as Body;
  const list = Array.isArray(tools) ? tools : [];
  if (list.length === 0) {
    if (choice === undefined || choice === null || choice === "none" || choice === "auto") return body;
    throw invalid("tool_choice", 'The field "tool_choice" asks for a call, and "tools" has nothing to call.');
  }
  const checked = list.map((tool, index) => checkTool(tool, index));
  const name = namedTool(choice);
  if (name !== null) {
    const named = checked.filter((tool) => (tool.function as Body).name === name);
    if (named.length === 0)
      throw invalid(
        "tool_choice",
        `The field "tool_choice" names ${JSON.stringify(name.slice(0, 100))}, which "tools" does not have.`,
      );
    return withoutStructure({ ...body, tools: named, tool_choice: "required" });
  }
  const known = checked.every((tool, index) => tool === list[index]) ? body : { ...body, tools: checked };
  if (choice === "required") return withoutStructure(known);
  if (choice !== "none") requireFreeText(body);
  return known;
}

/**
 * Throws `invalid_request` for a structure: llama.cpp's engines, which choose between a call and a text in OpenAI's API,
 * then only write the structure and never call a tool.
 */
function requireFreeText({ response_format: format, json_schema: schema }: JsonObject): void {
  const isFormat = isObject(format) && format["type"] !== "text";
  if (!isFormat && !isObject(schema)) return;
  const param = isFormat ? "response_format" : "json_schema";
  throw new AssistantError(
    "invalid_request",
    `The fields "tools" and "${param}" are both set; this model either calls tools or answers in a structure.`,
    {
      param,
      remedy: 'Leave one of them out, or decide with `tool_choice`: "none" for the structure, "required" for a call.',
    },
  );
}

/** A structure is that of a text, and a call that is required is none: llama-server would write the text instead. */
function withoutStructure(body: JsonObject): JsonObject {
  if (body["response_format"] === undefined && body["json_schema"] === undefined) return body;
  const { response_format: _, json_schema: __, ...rest } = body;
  return rest;
}

/** Optional parts of a function, for which engines do not understand null. */
const OPTIONAL: readonly (readonly [name: string, rule: DescribedRule])[] = [
  ["description", text],
  ["strict", boolean],
  ["parameters", object],
];

/** Functions. Only checks that they are an array; `checkTools` checks the rest. */
export const tools: DescribedRule = {
  passes: Array.isArray,
  expected: "an array of tools",
  schema: {
    type: "array",
    items: {
      type: "object",
      required: ["type", "function"],
      properties: {
        type: functionType.schema,
        function: {
          type: "object",
          required: ["name"],
          properties: {
            name: functionName.schema,
            ...Object.fromEntries(OPTIONAL.map(([name, { schema }]) => [name, orNull(schema)])),
          },
        },
      },
    },
  },
};

/** Keywords whose values are schemas by name, lists of schemas, or a schema. */
const HOLDERS = ["properties", "$defs", "definitions", "anyOf", "oneOf", "allOf", "prefixItems"];

/**
 * A schema with `{}` for each schema that is `true`, which generators write for "anything", and without `items: false`;
 * engines accept neither. Itself if there is none. Throws `invalid_request` for bounds that contradict each other.
 */
function acceptable(schema: unknown, at: string): unknown {
  if (schema === true) return {};
  if (!isObject(schema)) return schema;
  refuseContradictions(schema, at);
  let result: Body = withoutRest(schema);
  const set = (name: string, value: unknown): void => {
    if (value !== result[name]) result = { ...result, [name]: value };
  };
  if (result.items !== undefined) set("items", acceptable(result.items, `${at}.items`));
  for (const name of HOLDERS) {
    const held = schema[name];
    if (typeof held !== "object" || held === null) continue;
    const entries = Object.entries(held).map(
      ([key, value]) => [key, acceptable(value, `${at}.${name}.${key}`)] as const,
    );
    if (entries.every(([key, value]) => value === (held as Body)[key])) continue;
    set(name, Array.isArray(held) ? entries.map(([, value]) => value) : Object.fromEntries(entries));
  }
  return result;
}

function checkTool(tool: unknown, index: number): Body {
  const at = `tools[${index}]`;
  if (!isObject(tool)) throw invalid(at, `"${at}" must be an object; found ${shown(tool)}.`);
  mustBe(functionType, tool.type, `${at}.type`);
  mustBe(object, tool.function, `${at}.function`);
  const described = tool.function as Body;
  mustBe(functionName, described.name, `${at}.function.name`);
  let given: Body = described;
  for (const [name, rule] of OPTIONAL) {
    const value = described[name];
    if (value === null) given = Object.fromEntries(Object.entries(given).filter(([other]) => other !== name));
    else if (value !== undefined) mustBe(rule, value, `${at}.function.${name}`);
  }
  if (given.parameters !== undefined) {
    const parameters = acceptable(given.parameters, `${at}.function.parameters`);
    if (parameters !== given.parameters) given = { ...given, parameters };
  }
  // Without `strict`, a call's arguments need not follow the schema in OpenAI's API: it is a description.
  if (given.strict === true && given.parameters !== undefined) {
    const parameters = checkSchema(given.parameters, `${at}.function.parameters`);
    if (parameters !== given.parameters) given = { ...given, parameters };
  }
  return given === described ? tool : { ...tool, function: given };
}
