import { newItemId } from "../core/ids.ts";
import type { JsonObject } from "../core/inference.ts";
import { type Item, isInstructing } from "./item.ts";
import { messagesOf } from "./messages.ts";

/** What a chat request adds to a conversation. */
export interface ChatTurn {
  /**
   * Becomes the conversation's system prompt: the instructions at the beginning of the request; null: there are none.
   */
  readonly systemPrompt: string | null;
  /** The messages behind it, as they were sent. */
  readonly messages: readonly JsonObject[];
  /** The same as items. */
  readonly items: readonly Item[];
}

/** Reads messages in OpenAI's chat format, which were checked or will be. */
export function chatTurn(all: readonly JsonObject[]): ChatTurn {
  const first = all.findIndex(({ role }) => !isInstructing(role));
  const leading = first < 0 ? all : all.slice(0, first);
  const messages = first < 0 ? [] : all.slice(first);
  return {
    systemPrompt: leading.length === 0 ? null : leading.map(({ content }) => textIn(content)).join("\n\n"),
    messages,
    items: messages.flatMap(itemsOfMessage),
  };
}

/** The messages of a continued chat: the history and the turn. `before`: how many of them are not part of the turn. */
export function continued(
  history: readonly Item[],
  { systemPrompt, messages }: Pick<ChatTurn, "systemPrompt" | "messages">,
): { readonly messages: readonly JsonObject[]; readonly before: number } {
  const placed = history.map((item) => ({ item, at: "" }));
  const before = messagesOf(systemPrompt, placed).messages;
  return { messages: [...before, ...messages], before: before.length };
}

function itemsOfMessage(message: JsonObject): readonly Item[] {
  const {
    role,
    content,
    name,
    tool_calls: calls,
    tool_call_id: callId,
    reasoning_content: reasoning,
    refusal,
  } = message;
  if (role === "tool") {
    const output = typeof content === "string" ? content : partsOf(content, "input_text");
    return [{ type: "function_call_output", id: newItemId("fco"), call_id: callId, output }];
  }
  const parts = [
    ...partsOf(content, role === "assistant" ? "output_text" : "input_text"),
    ...(typeof refusal === "string" ? [{ type: "refusal", refusal }] : []),
  ];
  const thought = typeof reasoning === "string" && reasoning !== "";
  return [
    ...(thought
      ? [
          {
            type: "reasoning",
            id: newItemId("rs"),
            summary: [],
            content: [{ type: "reasoning_text", text: reasoning }],
          },
        ]
      : []),
    ...(parts.length === 0
      ? []
      : [
          {
            type: "message",
            id: newItemId("msg"),
            role,
            content: parts,
            ...(typeof name === "string" ? { name } : {}),
          },
        ]),
    ...(Array.isArray(calls) ? (calls as readonly JsonObject[]).map(callOf) : []),
  ];
}

function callOf({ id, function: called }: JsonObject): Item {
  const { name, arguments: args } = (called ?? {}) as JsonObject;
  const written = typeof args === "string" ? args : JSON.stringify(args ?? {});
  return { type: "function_call", id: newItemId("fc"), call_id: id, name, arguments: written };
}

function partsOf(content: unknown, textType: string): readonly JsonObject[] {
  if (typeof content === "string") return [textPart(textType, content)];
  if (!Array.isArray(content)) return [];
  return (content as readonly JsonObject[]).map((part) => {
    const { type, text, image_url: image } = part;
    if (type === "text") return textPart(textType, String(text));
    if (type !== "image_url") return part;
    const { url, detail } = (image ?? {}) as JsonObject;
    return { type: "input_image", image_url: url, ...(detail === undefined ? {} : { detail }) };
  });
}

const textPart = (type: string, text: string): JsonObject =>
  type === "output_text" ? { type, text, annotations: [] } : { type, text };

const textIn = (content: unknown): string =>
  typeof content === "string"
    ? content
    : (Array.isArray(content) ? (content as readonly JsonObject[]) : [])
        .map(({ text }) => String(text ?? ""))
        .join("\n");
