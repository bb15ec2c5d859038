import type { Dialect } from "./dialect.ts";
import { filePart } from "./media.ts";
import { type Body, isList, isObject, isString, mustBe, refused } from "./refuse.ts";
import type { AssistantPart, Prompt, ToolCallPart, ToolResultPart, UserPart } from "./sdk.ts";
import { signatureOf, thoughtsBefore } from "./signatures.ts";

/** The messages of a chat in the SDK's format. Throws `invalid_request` for anything the dialect does not support. */
export function promptOf(messages: readonly unknown[], dialect: Dialect): Prompt {
  if (messages.length === 0) throw refused("messages", 'The field "messages" must hold at least one message.');
  const prompt: Prompt = [];
  const toolNames = new Map<string, string>();
  for (const [index, message] of messages.entries()) {
    const at = `messages[${index}]`;
    if (!isObject(message)) throw refused(at, `${at} must be an object.`);
    const { role } = message;
    if (role !== "tool") refuseName(message, at);
    switch (role) {
      case "system":
      case "developer":
        if (!dialect.takesLateSystem && prompt.some((earlier) => earlier.role !== "system"))
          throw refused(
            `${at}.role`,
            `${at}.role is "${role}" after other messages; this provider takes system messages only before them.`,
            "Move it to the beginning, or make it a user message.",
          );
        prompt.push({ role: "system", content: textOf(message, at) });
        break;
      case "user":
        prompt.push({ role: "user", content: userParts(message["content"], `${at}.content`, dialect) });
        break;
      case "assistant":
        prompt.push({ role: "assistant", content: assistantParts(message, at, toolNames) });
        break;
      case "tool":
        addResult(prompt, toolResult(message, at, toolNames, dialect));
        break;
      default:
        throw refused(
          `${at}.role`,
          `${at}.role must be system, developer, user, assistant or tool; found ${JSON.stringify(role)?.slice(0, 40)}.`,
        );
    }
  }
  return prompt;
}

function refuseName({ name }: Body, at: string): void {
  if (name === undefined || name === null || name === "") return;
  throw refused(
    `${at}.name`,
    `${at}.name is set; this provider's messages have no names.`,
    "Omit it, or write the name into the message.",
  );
}

/** The text of a message that contains only text. */
function textOf({ content }: Body, at: string): string {
  if (isString(content)) return content;
  if (content === undefined || content === null) return "";
  return parts(content, `${at}.content`)
    .map((part, index) => {
      if (part["type"] === "text" && isString(part["text"])) return part["text"];
      throw refused(`${at}.content[${index}].type`, `${at}.content[${index}] must be text in a message of this role.`);
    })
    .join("");
}

const parts = (content: unknown, at: string): readonly Body[] => {
  if (Array.isArray(content) && content.every(isObject)) return content;
  throw refused(at, `${at} must be a string or an array of parts.`);
};

function userParts(content: unknown, at: string, dialect: Dialect): UserPart[] {
  if (isString(content)) return [{ type: "text", text: content }];
  return parts(content, at).map((part, index) =>
    part["type"] === "text"
      ? { type: "text", text: mustBe(part["text"], isString, "a string", `${at}[${index}].text`) }
      : filePart(part, `${at}[${index}]`, dialect),
  );
}

function assistantParts(message: Body, at: string, toolNames: Map<string, string>): AssistantPart[] {
  const { tool_calls: calls } = message;
  const text = textOf(message, at);
  const spoken: AssistantPart[] = text === "" ? [] : [{ type: "text", text }];
  if (calls === undefined || calls === null) return spoken;
  const called = mustBe(calls, isList, "an array of tool calls", `${at}.tool_calls`).map((call, index) =>
    toolCall(call, `${at}.tool_calls[${index}]`, toolNames),
  );
  // Thinking before the first call also precedes the text, and must come first.
  const [first = [], ...rest] = called.map(({ thoughts, call }) => [...thoughts, call]);
  return [...first.slice(0, -1), ...spoken, ...first.slice(-1), ...rest.flat()];
}

function toolCall(
  call: unknown,
  at: string,
  toolNames: Map<string, string>,
): { readonly thoughts: AssistantPart[]; readonly call: ToolCallPart } {
  const called = isObject(call) && isObject(call["function"]) ? call["function"] : {};
  const { id } = isObject(call) ? call : {};
  const { name } = called;
  if (!isObject(call) || !isString(id) || !isString(name))
    throw refused(at, `${at} must have an id and the name of a function.`);
  toolNames.set(id, name);
  const input = argumentsOf(called["arguments"], `${at}.function.arguments`);
  return {
    thoughts: thoughtsBefore(call),
    call: { type: "tool-call", toolCallId: id, toolName: name, input, ...signatureOf(call) },
  };
}

function argumentsOf(given: unknown, at: string): unknown {
  if (isObject(given)) return given;
  // For a function without parameters.
  if (given === "") return {};
  try {
    const parsed: unknown = JSON.parse(String(given));
    if (isObject(parsed)) return parsed;
  } catch {
    // Refused below, like JSON that is not an object.
  }
  throw refused(at, `${at} must be a JSON object in a string.`);
}

function toolResult(message: Body, at: string, toolNames: Map<string, string>, dialect: Dialect): ToolResultPart {
  const { tool_call_id: id, content } = message;
  const toolName = isString(id) ? toolNames.get(id) : undefined;
  if (!isString(id) || toolName === undefined)
    throw refused(
      `${at}.tool_call_id`,
      `${at}.tool_call_id must be the id of a tool call in an earlier assistant message.`,
    );
  const hasMedia = Array.isArray(content) && content.some((part) => isObject(part) && part["type"] !== "text");
  if (!hasMedia)
    return { type: "tool-result", toolCallId: id, toolName, output: { type: "text", value: textOf(message, at) } };
  return {
    ...{ type: "tool-result", toolCallId: id, toolName },
    output: { type: "content", value: userParts(content, `${at}.content`, dialect) },
  };
}

/** Results of calls that were made together are returned together. */
function addResult(prompt: Prompt, result: ToolResultPart): void {
  const last = prompt.at(-1);
  if (last?.role === "tool") last.content.push(result);
  else prompt.push({ role: "tool", content: [result] });
}
