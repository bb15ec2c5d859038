import { AssistantError } from "../core/errors.ts";
import type { JsonObject } from "../core/inference.ts";
import { type Item, isInstructing } from "./item.ts";

/** An item, and what a client calls it: `input[2]`; "": it is not of the request itself. */
export interface Placed {
  readonly item: Item;
  readonly at: string;
}

export interface Messages {
  /** In OpenAI's chat format. */
  readonly messages: readonly JsonObject[];
  /** What the client calls each of them. */
  readonly places: readonly string[];
}

type Message = {
  role: string;
  name?: string;
  content?: unknown;
  reasoning_content?: string;
  tool_calls?: object[];
  tool_call_id?: string;
};

/**
 * Items as the messages of a chat. Successive thinking, text and tool calls of an assistant are one message;
 * instructions at the beginning are also one, because many templates accept only one. Throws `invalid_request` for the
 * output of a missing call.
 */
export function messagesOf(instructions: string | null, items: readonly Placed[]): Messages {
  const messages: Message[] = instructions === null ? [] : [{ role: "system", content: instructions }];
  const places: string[] = instructions === null ? [] : ["instructions"];
  const called = new Set<unknown>();
  const add = (message: Message, at: string): void => {
    messages.push(message);
    places.push(at);
  };
  /** The assistant's message that may still take more. */
  const open = (at: string, isFree: (message: Message) => boolean): Message => {
    const last = messages.at(-1);
    if (last?.role === "assistant" && isFree(last)) return last;
    const message: Message = { role: "assistant" };
    add(message, at);
    return message;
  };
  for (const { item, at } of items) {
    switch (item.type) {
      case "reasoning": {
        const message = open(at, isUnsaid);
        message.reasoning_content = (message.reasoning_content ?? "") + reasoningOf(item);
        break;
      }
      case "function_call":
      case "custom_tool_call":
        called.add(item["call_id"]);
        callsOf(open(at, () => true)).push({
          id: item["call_id"],
          type: "function",
          function: { name: nameOf(item), arguments: argumentsOf(item) },
        });
        break;
      case "function_call_output":
      case "custom_tool_call_output":
        if (!called.has(item["call_id"])) {
          // The stored call was deleted.
          if (at === "") break;
          throw new AssistantError(
            "invalid_request",
            `"${at}.call_id" is the output of a call that is not in the conversation: "${String(item["call_id"]).slice(0, 100)}".`,
            { param: `${at}.call_id` },
          );
        }
        add({ role: "tool", tool_call_id: String(item["call_id"]), content: outputOf(item["output"]) }, at);
        break;
      default:
        if (item["role"] === "assistant") open(at, isUnsaid).content = contentOf(item["content"]);
        else addPlain(messages, add, plainOf(item), at);
    }
  }
  return withoutMereThoughts(messages, places);
}

/** How the model knows a function of a namespace; null: it has none. */
export const nameWithin = (namespace: string | null, name: string): string =>
  namespace === null ? name : `${namespace}__${name}`;

const nameOf = ({ namespace, name }: Item): unknown =>
  typeof namespace === "string" ? nameWithin(namespace, String(name)) : name;

/** A custom tool is to a model a function of one text. */
const argumentsOf = ({ type, input, arguments: args }: Item): unknown =>
  type === "custom_tool_call" ? JSON.stringify({ input }) : args;

const isUnsaid = ({ content, tool_calls: calls }: Message): boolean => content === undefined && calls === undefined;

function callsOf(message: Message): object[] {
  message.tool_calls ??= [];
  return message.tool_calls;
}

function plainOf({ role, content, name }: Item): Message {
  const message = { role: String(role), content: contentOf(content) };
  return typeof name === "string" ? { ...message, name } : message;
}

function addPlain(
  messages: readonly Message[],
  add: (message: Message, at: string) => void,
  message: Message,
  at: string,
): void {
  const [first] = messages;
  if (messages.length === 1 && first !== undefined && isInstructing(first.role) && isInstructing(message.role))
    first.content = `${String(first.content)}\n\n${String(message.content)}`;
  else add(message, at);
}

/** An assistant that only thought has nothing that a template could show. */
function withoutMereThoughts(messages: readonly Message[], places: readonly string[]): Messages {
  const kept = messages.flatMap((message, index) =>
    message.role === "assistant" && isUnsaid(message) ? [] : [{ message, at: places[index] ?? "" }],
  );
  return { messages: kept.map(({ message }) => ({ ...message })), places: kept.map(({ at }) => at) };
}

const textsIn = (parts: unknown): string =>
  Array.isArray(parts) ? parts.map((part) => String((part as JsonObject)["text"])).join("\n") : "";

const reasoningOf = ({ content, summary }: Item): string => textsIn(content) || textsIn(summary);

/** A text where all of it is text. */
function contentOf(content: unknown): unknown {
  const parts = content as readonly JsonObject[];
  const texts = parts.map((part) => part["text"] ?? part["refusal"]);
  return texts.every((text) => typeof text === "string") ? texts.join("\n") : parts.map(partOf);
}

const outputOf = (output: unknown): unknown => (typeof output === "string" ? output : contentOf(output));

function partOf(part: JsonObject): JsonObject {
  switch (part["type"]) {
    case "input_image": {
      const { image_url: url, detail } = part;
      return { type: "image_url", image_url: detail === undefined || detail === null ? { url } : { url, detail } };
    }
    case "input_audio":
      return { type: "input_audio", input_audio: part["input_audio"] };
    case "input_text":
    case "output_text":
    case "refusal":
      return { type: "text", text: part["text"] ?? part["refusal"] };
    default:
      return part;
  }
}
