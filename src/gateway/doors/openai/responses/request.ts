import type { HistoryAsk } from "../../../../conversations/history.ts";
import { type Item, textMessage } from "../../../../conversations/item.ts";
import { messagesOf, type Placed } from "../../../../conversations/messages.ts";
import { AssistantError } from "../../../../core/errors.ts";
import type { JsonObject } from "../../../../core/inference.ts";
import { conversationIdOf } from "../../../canonical/conversation.ts";
import { type Body, invalid } from "../../../canonical/rules.ts";
import { checkedFields } from "./fields.ts";
import { itemId, newResponseId } from "./ids.ts";
import { itemsOf } from "./items.ts";
import { chatChoice, chatTools, customNames, isAvailable, namespacedNames } from "./tools.ts";

/** A parsed request of the Responses API. */
export interface ResponseRequest {
  readonly id: string;
  /** The same in OpenAI's chat format. */
  readonly chat: JsonObject;
  /** The client's path of each message. */
  readonly places: readonly string[];
  /** Items of the request itself, without those of earlier responses. */
  readonly input: readonly Item[];
  readonly previousId: string | null;
  /** The conversation that it continues; null: none. */
  readonly conversationId: string | null;
  /** The parts of the request that the answer repeats. */
  readonly repeated: JsonObject;
  readonly isStored: boolean;
  readonly isBackground: boolean;
  readonly streamed: boolean;
  /** The client reads reasoning as a summary. */
  readonly summarizes: boolean;
  /** If a conversation is longer than the context, its oldest part is omitted. */
  readonly truncates: boolean;
  /** Names of its tools with free text as input. */
  readonly customTools: readonly string[];
  readonly namespaced: ReturnType<typeof namespacedNames>;
}

/** Where earlier responses of the caller are looked up. */
export interface History {
  /** Input and output items up to and with a response. Rejects with `invalid_request`. */
  itemsThrough(responseId: string): Promise<readonly Item[]>;
  /** Null: there is none with this id. */
  item(id: string): Promise<Item | null>;
}

/** The items of a request's conversation that precede those of the request. */
export type ConversationReader = (
  ask: Pick<HistoryAsk, "added" | "systemPrompt" | "tools" | "maxTokens">,
) => Promise<readonly Item[]>;

/**
 * Parses a body of the Responses API. `history` null: nothing is stored. `conversation` null: it names none. Rejects
 * with `invalid_request` naming the field.
 */
export async function readRequest(
  body: JsonObject,
  history: History | null,
  conversation: ConversationReader | null = null,
): Promise<ResponseRequest> {
  const { fields, others } = checkedFields(body);
  const id = newResponseId();
  const isStored = history !== null && fields["store"] !== false;
  const isBackground = fields["background"] === true;
  if (isBackground && !isStored)
    throw invalid("background", 'The field "background" needs "store": nothing else keeps the answer for you.');
  const own = fields["input"] === undefined ? [] : itemsOf(fields["input"], (kind, index) => itemId(id, kind, index));
  const input = await resolved(own, history);
  const previousId = (fields["previous_response_id"] as string | undefined) ?? null;
  if (previousId !== null && history === null) throw notStored("previous_response_id");
  const conversationId = fields["conversation"] === undefined ? null : conversationIdOf(fields["conversation"]);
  if (previousId !== null && conversationId !== null)
    throw invalid("conversation", 'The fields "conversation" and "previous_response_id" exclude each other.');
  const instructions = (fields["instructions"] as string | undefined) ?? null;
  const earlier =
    previousId !== null
      ? ((await history?.itemsThrough(previousId)) ?? [])
      : ((await conversation?.({
          added: instructions === null ? input : [textMessage("", "system", instructions), ...input],
          systemPrompt: null,
          tools: fields["tools"],
          maxTokens: (fields["max_output_tokens"] as number | undefined) ?? null,
        })) ?? []);
  const placed: Placed[] = [
    ...earlier.map((item) => ({ item, at: "" })),
    ...input.map((item, index) => ({ item, at: `input[${index}]` })),
  ];
  const { messages, places } = messagesOf(instructions, placed);
  if (messages.length === 0) throw invalid("input", 'The field "input" is missing: there is nothing to answer.');
  const streamed = fields["stream"] === true;
  const reasoning = fields["reasoning"] as Body | undefined;
  return {
    id,
    // Throws for tools that are wrong, and so before their names are read.
    chat: { ...others, ...chatFields(fields, streamed || isBackground), messages },
    places,
    input,
    previousId,
    conversationId,
    repeated: repeatedOf(fields, { isStored, isBackground, previousId, conversationId }),
    isStored,
    isBackground,
    streamed,
    truncates: fields["truncation"] === "auto",
    customTools: customNames(fields["tools"]),
    namespaced: namespacedNames(fields["tools"]),
    summarizes: (reasoning?.["summary"] ?? reasoning?.["generate_summary"] ?? null) !== null,
  };
}

const notStored = (param: string): AssistantError =>
  invalid(param, `The field "${param}" names a stored response, and nothing is stored here.`);

async function resolved(items: readonly Item[], history: History | null): Promise<readonly Item[]> {
  return await Promise.all(
    items.map(async (item, index) => {
      if (item.type !== "item_reference") return item;
      const found = await history?.item(item.id);
      if (found !== undefined && found !== null) return found;
      const at = `input[${index}].id`;
      throw invalid(at, `"${at}" names no stored item: "${item.id.slice(0, 100)}".`);
    }),
  );
}

/** Fields with the same meaning in both APIs. */
const SAME = ["model", "parallel_tool_calls", "prompt_cache_key", "safety_identifier", "temperature", "top_p", "user"];

function chatFields(fields: Body, streamed: boolean): Body {
  const chat: Record<string, unknown> = {};
  for (const name of SAME) if (fields[name] !== undefined) chat[name] = fields[name];
  if (streamed) Object.assign(chat, { stream: true, stream_options: { include_usage: true } });
  if (fields["max_output_tokens"] !== undefined) chat["max_completion_tokens"] = fields["max_output_tokens"];
  const { effort } = (fields["reasoning"] ?? {}) as Body;
  if (effort !== undefined && effort !== null) chat["reasoning_effort"] = effort;
  const { format, verbosity } = (fields["text"] ?? {}) as Body;
  if (verbosity !== undefined && verbosity !== null) chat["verbosity"] = verbosity;
  if (format !== undefined && format !== null) chat["response_format"] = formatOf(format as Body);
  const included = (fields["include"] ?? []) as readonly string[];
  if (included.includes("message.output_text.logprobs") || fields["top_logprobs"] !== undefined) {
    chat["logprobs"] = true;
    if (fields["top_logprobs"] !== undefined) chat["top_logprobs"] = fields["top_logprobs"];
  }
  return { ...chat, ...toolFields(fields) };
}

function toolFields(fields: Body): Body {
  const tools = fields["tools"] === undefined ? [] : chatTools(fields["tools"]);
  const asked = fields["tool_choice"];
  if (asked === undefined) return tools.length === 0 ? {} : { tools };
  const { choice, tools: left } = chatChoice(asked, tools);
  return { tool_choice: choice, ...(left.length === 0 ? {} : { tools: left }) };
}

function formatOf(format: Body): Body {
  if (format["type"] !== "json_schema") return { type: format["type"] };
  const { name, description, schema, strict } = format;
  const described = Object.entries({ name, description, schema, strict }).filter(([, value]) => value !== undefined);
  return { type: "json_schema", json_schema: Object.fromEntries(described) };
}

function repeatedOf(
  fields: Body,
  {
    isStored,
    isBackground,
    previousId,
    conversationId,
  }: Pick<ResponseRequest, "isStored" | "isBackground" | "previousId" | "conversationId">,
): JsonObject {
  const or = (name: string, usual: unknown): unknown => fields[name] ?? usual;
  const { effort = null, summary = null } = (fields["reasoning"] ?? {}) as Body;
  const { format = null, verbosity = null } = (fields["text"] ?? {}) as Body;
  const tools = (fields["tools"] ?? []) as readonly Body[];
  const tier = fields["service_tier"];
  return {
    background: isBackground,
    ...(conversationId === null ? {} : { conversation: { id: conversationId } }),
    instructions: or("instructions", null),
    max_output_tokens: or("max_output_tokens", null),
    max_tool_calls: or("max_tool_calls", null),
    metadata: or("metadata", {}),
    parallel_tool_calls: or("parallel_tool_calls", true),
    previous_response_id: previousId,
    prompt_cache_key: or("prompt_cache_key", null),
    reasoning: { effort, summary },
    safety_identifier: or("safety_identifier", null),
    service_tier: tier === undefined || tier === "auto" ? "default" : tier,
    store: isStored,
    temperature: or("temperature", null),
    text: { format: format ?? { type: "text" }, ...(verbosity === null ? {} : { verbosity }) },
    tool_choice: or("tool_choice", "auto"),
    tools: tools
      .filter(isAvailable)
      .map((tool) =>
        tool["type"] === "function"
          ? { ...tool, parameters: tool["parameters"] ?? null, strict: tool["strict"] ?? null }
          : tool,
      ),
    top_logprobs: or("top_logprobs", 0),
    top_p: or("top_p", null),
    truncation: or("truncation", "disabled"),
    ...(fields["user"] === undefined ? {} : { user: fields["user"] }),
  };
}

/** Names of the chat format, and the client's. */
const NAMES: readonly (readonly [RegExp, string])[] = [
  [/\bresponse_format\.json_schema\b/g, "text.format"],
  [/\bresponse_format\b/g, "text.format"],
  [/\b(tools\[\d+\])\.function\b/g, "$1"],
  [/\bmax_completion_tokens\b/g, "max_output_tokens"],
  [/\breasoning_effort\b/g, "reasoning.effort"],
];

/** The error with the client's own names. */
export function inClientsNames(error: AssistantError, places: readonly string[]): AssistantError {
  if (error.param === null) return error;
  const renamed = (text: string): string =>
    NAMES.reduce((sofar, [chat, ours]) => sofar.replace(chat, ours), text)
      .replace(/\bmessages\[(\d+)\]/g, (whole, index) => places[Number(index)] || whole)
      .replace(/\.image_url\.url\b/g, ".image_url");
  const { code, message, param, remedy, retryAfterS, counts } = error;
  return new AssistantError(code, renamed(message), {
    param: renamed(param),
    ...(remedy === null ? {} : { remedy }),
    ...(retryAfterS === null ? {} : { retryAfterS }),
    ...(counts === null ? {} : { counts }),
    cause: error,
  });
}
