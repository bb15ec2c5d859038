import type { JsonObject } from "../../core/inference.ts";
import type { AskedModel, Dialect, Extras } from "./dialect.ts";
import { asksForNothing, refuseFields } from "./fields.ts";
import { promptOf } from "./messages.ts";
import { isBoolean, isList, isNumber, isObject, isString, mustBe, refused } from "./refuse.ts";
import { checkSchema } from "./schema.ts";
import type { CallOptions, FunctionTool, ReasoningEffort, ResponseFormat, ToolChoice } from "./sdk.ts";

/** In order of precedence. */
const LIMITS = ["n_predict", "max_completion_tokens", "max_tokens"] as const;
const BUDGETS = ["reasoning_budget_tokens", "thinking_budget_tokens"] as const;
const EFFORTS: readonly string[] = ["none", "minimal", "low", "medium", "high", "xhigh", "max"];

/**
 * A chat request in the SDK's format. Throws `invalid_request` for the first field that the dialect does not support.
 * Restrictions of a single model are found later, by its `Service`.
 */
export function callOptions(
  json: JsonObject,
  dialect: Dialect,
  asked: AskedModel,
): { readonly options: CallOptions; readonly extras: Extras } {
  refuseFields(json, dialect.id, asked);
  const given = reader(json);
  const messages = mustBe(json["messages"], isList, "an array of messages", "messages");
  const tools = given("tools", isList, "an array of tools")?.map(toolOf) ?? [];
  const { format, isStrict } = responseFormat(json);
  const maxOutputTokens = LIMITS.map((name) => given(name, isNumber, "a number")).find((limit) => limit !== undefined);
  const effort = given("reasoning_effort", isString, "a string");
  const thinkingTokens = BUDGETS.map((name) => given(name, isNumber, "a number")).find(
    (budget) => budget !== undefined,
  );
  if (effort !== undefined && thinkingTokens !== undefined && thinkingTokens >= 0)
    throw refused(
      "reasoning_effort",
      'The fields "reasoning_effort" and a budget of thinking tokens are both set; set one.',
    );
  const options = defined<CallOptions>({
    prompt: promptOf(messages, dialect),
    maxOutputTokens: maxOutputTokens === -1 ? undefined : maxOutputTokens,
    temperature: given("temperature", isNumber, "a number"),
    topP: given("top_p", isNumber, "a number"),
    topK: given("top_k", isNumber, "a number"),
    seed: given("seed", isNumber, "a number"),
    presencePenalty: given("presence_penalty", isNumber, "a number"),
    frequencyPenalty: given("frequency_penalty", isNumber, "a number"),
    stopSequences: stopTexts(given("stop", isStop, "a string or an array of strings")),
    responseFormat: format,
    tools: tools.length === 0 ? undefined : tools,
    toolChoice: toolChoiceOf(json["tool_choice"], tools),
    reasoning: effort === undefined ? undefined : effortOf(effort),
  });
  const parallel = given("parallel_tool_calls", isBoolean, "true or false");
  const extras: Extras = {
    thinkingTokens: thinkingTokens === undefined || thinkingTokens < 0 ? null : thinkingTokens,
    parallelToolCalls: tools.length === 0 ? null : (parallel ?? null),
    user: given("user", isString, "a string") ?? null,
    strictSchema: isStrict,
  };
  return { options, extras };
}

/** Reads fields by name; undefined: the value has no effect. */
const reader =
  (json: JsonObject) =>
  <T>(name: string, passes: (value: unknown) => value is T, expected: string): T | undefined =>
    asksForNothing(name, json[name]) ? undefined : mustBe(json[name], passes, expected, name);

function defined<T>(values: { readonly [Name in keyof T]: T[Name] | undefined }): T {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as T;
}

const isStop = (value: unknown): value is string | readonly string[] =>
  isString(value) || (isList(value) && value.every(isString));

function stopTexts(stop: string | readonly string[] | undefined): string[] | undefined {
  const texts = [stop ?? []].flat().filter((text) => text !== "");
  return texts.length === 0 ? undefined : texts;
}

function effortOf(effort: string): ReasoningEffort {
  if (EFFORTS.includes(effort)) return effort as ReasoningEffort;
  const known = EFFORTS.map((each) => `"${each}"`).join(", ");
  throw refused("reasoning_effort", `The field "reasoning_effort" must be one of ${known}.`);
}

function toolOf(tool: unknown, index: number): FunctionTool {
  const at = `tools[${index}]`;
  const { type, function: described } = mustBe(tool, isObject, "an object", at);
  if (type !== "function")
    throw refused(`${at}.type`, `${at}.type must be "function": the provider supports no other tools.`);
  const { name, description, parameters, strict } = mustBe(described, isObject, "an object", `${at}.function`);
  const schema = parameters ?? { type: "object", properties: {} };
  return {
    type: "function",
    name: mustBe(name, isString, "a string", `${at}.function.name`),
    inputSchema: checkSchema(schema, `${at}.function.parameters`),
    ...(isString(description) ? { description } : {}),
    ...(isBoolean(strict) ? { strict } : {}),
  };
}

function toolChoiceOf(choice: unknown, tools: readonly FunctionTool[]): ToolChoice | undefined {
  if (tools.length === 0 && [undefined, null, "auto", "none"].includes(choice as string)) return undefined;
  if (choice === undefined || choice === null) return undefined;
  if (tools.length === 0)
    throw refused("tool_choice", 'The field "tool_choice" asks for a call, and "tools" has nothing to call.');
  if (choice === "auto" || choice === "none" || choice === "required") return { type: choice };
  const name = isObject(choice) && isObject(choice["function"]) ? choice["function"]["name"] : undefined;
  const tool = tools.find((each) => each.name === name);
  if (tool === undefined)
    throw refused(
      "tool_choice",
      'The field "tool_choice" must be "auto", "none", "required" or name one of the tools.',
    );
  return { type: "tool", toolName: tool.name };
}

function responseFormat(json: JsonObject): { readonly format: ResponseFormat | undefined; readonly isStrict: boolean } {
  const { response_format: asked = null, json_schema: schema = null } = json;
  // llama.cpp's name, which guarantees that the answer follows it.
  if (asked === null && schema !== null)
    return { format: { type: "json", schema: checkSchema(schema, "json_schema") }, isStrict: true };
  if (asked === null) return { format: undefined, isStrict: false };
  if (schema !== null)
    throw refused("json_schema", 'The fields "response_format" and "json_schema" are both set; set one.');
  const { type, json_schema: wrapper } = mustBe(asked, isObject, "an object", "response_format");
  if (type === "text") return { format: undefined, isStrict: false };
  if (type === "json_object") return { format: { type: "json" }, isStrict: false };
  if (type !== "json_schema")
    throw refused(
      "response_format.type",
      'The field "response_format.type" must be "text", "json_object" or "json_schema".',
    );
  const at = "response_format.json_schema";
  const { schema: wrapped, name, description, strict } = mustBe(wrapper, isObject, "an object", at);
  return {
    format: {
      type: "json",
      schema: checkSchema(wrapped, `${at}.schema`),
      ...(isString(name) ? { name } : {}),
      ...(isString(description) ? { description } : {}),
    },
    isStrict: strict === true,
  };
}
