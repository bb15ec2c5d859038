import { type Body, invalid, isObject, isString, mustBe, oneOf, shown, text } from "../../../canonical/rules.ts";

const FUNCTION = ["name", "description", "parameters", "strict"] as const;

/** A custom tool as seen by the model: a function with one string parameter. */
const CUSTOM_PARAMETERS = {
  type: "object",
  properties: { input: { type: "string" } },
  required: ["input"],
  additionalProperties: false,
};

export const isCustom = (tool: unknown): boolean => isObject(tool) && tool["type"] === "custom";

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

/** `tools` in OpenAI's chat format. Throws `invalid_request` for built-in tools, which are not available. */
export function chatTools(tools: unknown): readonly Body[] {
  if (!Array.isArray(tools)) throw invalid("tools", `The field "tools" must be an array; found ${shown(tools)}.`);
  return tools.map((tool, index) => {
    const at = `tools[${index}]`;
    if (!isObject(tool)) throw invalid(at, `"${at}" must be an object; found ${shown(tool)}.`);
    if (isCustom(tool)) return customTool(tool, at);
    if (tool["type"] !== "function")
      throw invalid(
        `${at}.type`,
        `"${at}.type" must be "function" or "custom", which the client runs itself; found ${shown(tool["type"])}. Built-in tools are not available.`,
      );
    mustBe(text, tool["name"], `${at}.name`);
    const described = FUNCTION.filter((name) => tool[name] !== undefined && tool[name] !== null);
    return { type: "function", function: Object.fromEntries(described.map((name) => [name, tool[name]])) };
  });
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
