import type { Template } from "@huggingface/jinja";
import { JinjaTemplateChatWrapper, LlamaText } from "node-llama-cpp";
import type { CallSyntax } from "./calls.ts";
import { invalid } from "./errors.ts";
import { type Body, flagOf, isObject } from "./fields.ts";

interface ToolFunction {
  readonly name: string;
  /** JSON Schema of its arguments; null: any object. */
  readonly parameters: Body | null;
  /** Whether arguments must follow the schema exactly. */
  readonly isStrict: boolean;
}

export interface ToolRequest {
  /** As the template gets them. */
  readonly given: readonly unknown[];
  readonly functions: readonly ToolFunction[];
  readonly required: boolean;
  readonly parallel: boolean;
}

/** The tools that a request lets the model call; null: none. */
export function toolsOf(body: Body): ToolRequest | null {
  const { tools, tool_choice: choice } = body;
  if (tools === undefined || tools === null || choice === "none") return null;
  if (!Array.isArray(tools)) throw invalid("Field 'tools': must be an array");
  if (tools.length === 0) return null;
  if (choice !== undefined && choice !== null && choice !== "auto" && choice !== "required")
    throw invalid('Field \'tool_choice\': must be "none", "auto" or "required"');
  return {
    given: tools,
    functions: tools.map(functionOf),
    required: choice === "required",
    parallel: flagOf(body, "parallel_tool_calls") ?? false,
  };
}

function functionOf(tool: unknown, index: number): ToolFunction {
  const described = isObject(tool) && tool.type === "function" ? tool.function : null;
  if (!isObject(described) || typeof described.name !== "string" || described.name === "")
    throw invalid(`Field 'tools[${index}]': must be {"type": "function", "function": {"name": …}}`);
  const { name, parameters = null, strict } = described;
  if (parameters !== null && !isObject(parameters))
    throw invalid(`Field 'tools[${index}].function.parameters': must be an object`);
  return { name, parameters, isStrict: strict === true };
}

/** How a template writes calls. */
export interface ToolTemplate {
  readonly syntax: CallSyntax;
  /** It wants arguments as text; others write them as JSON themselves. */
  readonly wantsText: boolean;
}

const PROBE = "look_up";
const ARGUMENTS = { place: "here" };

/**
 * Finds out how the template writes calls, and proves it by a call that the template writes. Null where it has no place
 * for tools, or another syntax than a name and a JSON object.
 */
export function toolTemplate(text: string, template: Template): ToolTemplate | null {
  if (!/\btools\b/u.test(text)) return null;
  try {
    const wrapper = new JinjaTemplateChatWrapper({ template: text });
    if (!wrapper.usingJinjaFunctionCallTemplate) return null;
    const { call, parallelism } = wrapper.settings.functions;
    const syntax = {
      start: (plain(parallelism?.call.sectionPrefix) + plain(call.prefix)).trimStart(),
      middle: plain(call.paramsPrefix),
      end: plain(call.suffix).trimEnd(),
    };
    const wantsText = [false, true].find((asText) => isProven(syntax, rendered(template, asText)));
    return wantsText === undefined ? null : { syntax, wantsText };
  } catch {
    // Templates refuse in their own words what they do not take.
    return null;
  }
}

const plain = (text: string | LlamaText | undefined): string =>
  text === undefined
    ? ""
    : LlamaText(text)
        .values.map((value) => (typeof value === "string" ? value : "value" in value ? String(value.value) : ""))
        .join("");

function rendered(template: Template, asText: boolean): string {
  const call = { name: PROBE, arguments: asText ? JSON.stringify(ARGUMENTS) : ARGUMENTS };
  try {
    return template.render({
      messages: [
        { role: "user", content: "Hi" },
        { role: "assistant", content: "", tool_calls: [{ id: "call00001", type: "function", function: call }] },
      ],
      tools: [{ type: "function", function: { name: PROBE, description: "", parameters: { type: "object" } } }],
      add_generation_prompt: false,
      bos_token: "",
      eos_token: "",
    });
  } catch {
    return "";
  }
}

function isProven({ start, middle }: CallSyntax, text: string): boolean {
  const head = start + PROBE + middle;
  const at = text.lastIndexOf(head);
  // What begins otherwise was cut out in the middle of a mark.
  if (!/^[<[{]/u.test(start) || at < 0) return false;
  const written = text.slice(at + head.length).replaceAll(/\s/gu, "");
  return written.startsWith(JSON.stringify(ARGUMENTS));
}

/** Messages as the template takes them: earlier calls with their arguments as it wants them. */
export function withCalls<Message extends Body>(message: Message, wantsText: boolean): Message {
  const { tool_calls: calls } = message;
  if (!Array.isArray(calls)) return message;
  const given = calls.map((call: unknown) => {
    if (!isObject(call) || !isObject(call.function)) return call;
    return { ...call, function: { ...call.function, arguments: argumentsOf(call.function.arguments, wantsText) } };
  });
  return { ...message, tool_calls: given };
}

function argumentsOf(given: unknown, wantsText: boolean): unknown {
  if (wantsText) return typeof given === "string" ? given : JSON.stringify(given ?? {});
  if (typeof given !== "string") return given;
  try {
    return JSON.parse(given === "" ? "{}" : given) as unknown;
  } catch {
    return given;
  }
}
