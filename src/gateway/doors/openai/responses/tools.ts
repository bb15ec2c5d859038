import { nameWithin } from "../../../../conversations/messages.ts";
import {
  type Body,
  invalid,
  isObject,
  isString,
  mustBe,
  oneOf,
  type Rule,
  shown,
  text,
} from "../../../canonical/rules.ts";

const list: Rule = { passes: Array.isArray, expected: "an array" };
const FUNCTION = ["name", "description", "parameters", "strict"] as const;

/** A custom tool as seen by the model: a function with one string parameter. */
const CUSTOM_PARAMETERS = {
  type: "object",
  properties: { input: { type: "string" } },
  required: ["input"],
  additionalProperties: false,
};

const isCustom = (tool: unknown): boolean => isObject(tool) && tool["type"] === "custom";

/** Names of the custom tools. */
export const customNames = (tools: unknown): readonly string[] =>
  (Array.isArray(tools) ? tools : []).filter(isCustom).map(({ name }) => String(name));

const isGrammar = (format: unknown): boolean =>
  format !== undefined && format !== null && !(isObject(format) && format["type"] === "text");

function customTool({ name, description, format }: Body, at: string): Body {
  mustBe(text, name, `${at}.name`);
  if (isGrammar(format))
    throw invalid(
      `${at}.format`,
      `"${at}.format" must be {"type": "text"} or missing; found ${shown(format)}. No engine supports grammars within calls.`,
    );
  const described = typeof description === "string" ? { description } : {};
  return { type: "function", function: { name, ...described, parameters: CUSTOM_PARAMETERS } };
}

/** The text input of a custom tool call. A model that ignored the format has written it directly. */
export function customInput(args: string): string {
  try {
    const { input } = JSON.parse(args) as { readonly input?: unknown };
    return isString(input) ? input : args;
  } catch {
    return args;
  }
}

/** Coding agents declare these in all requests, whatever the server: they are not offered to the model. */
const UNAVAILABLE: ReadonlySet<unknown> = new Set(["web_search", "web_search_preview", "image_generation"]);

export const isAvailable = (tool: unknown): boolean => !(isObject(tool) && UNAVAILABLE.has(tool["type"]));

/** `tools` in OpenAI's chat format. Throws `invalid_request` for other built-in tools, which are not available. */
export function chatTools(tools: unknown): readonly Body[] {
  if (!Array.isArray(tools)) throw invalid("tools", `The field "tools" must be an array; found ${shown(tools)}.`);
  return tools.flatMap((tool: unknown, index) => {
    const at = `tools[${index}]`;
    if (!isObject(tool)) throw invalid(at, `"${at}" must be an object; found ${shown(tool)}.`);
    if (!isAvailable(tool)) return [];
    if (isCustom(tool)) return [customTool(tool, at)];
    if (tool["type"] === "namespace") return functionsOf(tool, at);
    if (tool["type"] === "function") return [functionTool(tool, null, at)];
    throw invalid(
      `${at}.type`,
      `"${at}.type" must be "function", "custom" or "namespace", which the client runs itself; found ${shown(tool["type"])}. Built-in tools are not available.`,
    );
  });
}

function functionTool(tool: Body, namespace: string | null, at: string): Body {
  mustBe(text, tool["name"], `${at}.name`);
  const described = FUNCTION.filter((name) => tool[name] !== undefined && tool[name] !== null);
  const fields = Object.fromEntries(described.map((name) => [name, tool[name]]));
  return { type: "function", function: { ...fields, name: nameWithin(namespace, tool["name"] as string) } };
}

function functionsOf({ name, tools }: Body, at: string): readonly Body[] {
  mustBe(text, name, `${at}.name`);
  mustBe(list, tools, `${at}.tools`);
  return (tools as readonly unknown[]).map((tool, index) => {
    const here = `${at}.tools[${index}]`;
    if (!isObject(tool) || tool["type"] !== "function")
      throw invalid(here, `"${here}" must be a function; found ${shown(isObject(tool) ? tool["type"] : tool)}.`);
    return functionTool(tool, name as string, here);
  });
}

/** The functions of namespaces, by the names under which the model knows them. */
export function namespacedNames(
  tools: unknown,
): ReadonlyMap<string, { readonly namespace: string; readonly name: string }> {
  const names = new Map<string, { readonly namespace: string; readonly name: string }>();
  for (const tool of Array.isArray(tools) ? tools : [])
    if (isObject(tool) && tool["type"] === "namespace")
      for (const { name } of tool["tools"] as readonly Body[])
        names.set(nameWithin(String(tool["name"]), String(name)), {
          namespace: String(tool["name"]),
          name: String(name),
        });
  return names;
}

/** `tool_choice` in OpenAI's chat format, and the remaining tools. Throws `invalid_request`. */
export function chatChoice(
  choice: unknown,
  tools: readonly Body[],
): { readonly choice: unknown; readonly tools: readonly Body[] } {
  if (choice === "none" || choice === "auto" || choice === "required") return { choice, tools };
  if (isObject(choice) && (choice["type"] === "function" || choice["type"] === "custom")) {
    mustBe(text, choice["name"], "tool_choice.name");
    return { choice: { type: "function", function: { name: choice["name"] } }, tools };
  }
  if (isObject(choice) && choice["type"] === "allowed_tools") return allowedTools(choice, tools);
  throw invalid(
    "tool_choice",
    `The field "tool_choice" must be "none", "auto", "required", {"type": "function" or "custom", "name": …} or {"type": "allowed_tools", …}; found ${shown(choice)}.`,
  );
}

function allowedTools(
  choice: Body,
  tools: readonly Body[],
): { readonly choice: unknown; readonly tools: readonly Body[] } {
  mustBe(oneOf("auto", "required"), choice["mode"], "tool_choice.mode");
  const { tools: allowed } = choice;
  if (!Array.isArray(allowed))
    throw invalid("tool_choice.tools", `"tool_choice.tools" must be an array; found ${shown(allowed)}.`);
  const kept = allowed.map((each, index) => {
    const name = isObject(each) ? each["name"] : undefined;
    const found = tools.find((tool) => isString(name) && (tool["function"] as Body)["name"] === name);
    if (found !== undefined) return found;
    const at = `tool_choice.tools[${index}]`;
    throw invalid(at, `"${at}" must name a function of "tools"; found ${shown(name)}.`);
  });
  return { choice: choice["mode"], tools: kept };
}
