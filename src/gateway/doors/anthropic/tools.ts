import type { JsonObject } from "../../../core/inference.ts";
import { type Body, boolean, invalid, isString, mustBe, object, oneOf, shown, text } from "../../canonical/rules.ts";
import { unsupported } from "./errors.ts";

/**
 * Tools in OpenAI's format. Throws `invalid_request` for those that Anthropic defines: its servers run them, or its
 * models know them.
 */
export function toolsOf(tools: unknown): readonly JsonObject[] {
  if (!Array.isArray(tools))
    throw invalid("tools", `The field "tools" must be an array of tools; found ${shown(tools)}.`);
  return tools.map((tool, index) => toolOf(tool, `tools[${index}]`));
}

function toolOf(tool: unknown, at: string): JsonObject {
  mustBe(object, tool, at);
  const { type, name, description, input_schema: schema, strict, allowed_callers: callers } = tool as Body;
  if (isString(type) && type !== "custom")
    throw unsupported(
      `${at}.type`,
      `"${at}" is the tool "${type.slice(0, 60)}", which Anthropic defines and which is not available.`,
      "Describe the tool with `name`, `description` and `input_schema`, and run it yourself.",
    );
  if (Array.isArray(callers) && !callers.includes("direct"))
    throw unsupported(
      `${at}.allowed_callers`,
      "Tools can only be called by the model itself.",
      'Add "direct", or leave it out.',
    );
  mustBe(text, name, `${at}.name`);
  mustBe(object, schema, `${at}.input_schema`);
  if (strict !== undefined && strict !== null) mustBe(boolean, strict, `${at}.strict`);
  return {
    type: "function",
    function: {
      name,
      ...(isString(description) ? { description } : {}),
      parameters: schema,
      ...(strict === true ? { strict } : {}),
    },
  };
}

const choiceType = oneOf("auto", "any", "tool", "none");

/** `tool_choice` and `parallel_tool_calls` in OpenAI's format. */
export function toolChoiceOf(choice: unknown): JsonObject {
  mustBe(object, choice, "tool_choice");
  const { type, name, disable_parallel_tool_use: single } = choice as Body;
  mustBe(choiceType, type, "tool_choice.type");
  if (single !== undefined && single !== null) mustBe(boolean, single, "tool_choice.disable_parallel_tool_use");
  if (type === "tool") mustBe(text, name, "tool_choice.name");
  const asked = type === "tool" ? { type: "function", function: { name } } : type === "any" ? "required" : type;
  return { tool_choice: asked, ...(single === true && type !== "none" ? { parallel_tool_calls: false } : {}) };
}
