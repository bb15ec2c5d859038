import type { FastifyInstance, FastifyRequest } from "fastify";
import { type ConversationMessage, type ConversationView, conversationRoutes } from "../../../api/conversations.ts";
import { choice, integer, requiredText, text } from "../../../config/schema/kit.ts";
import type { Conversation, Conversations } from "../../../conversations/conversations.ts";
import { isMessage, textMessage, textOf } from "../../../conversations/item.ts";
import type { StoredItem } from "../../../conversations/record.ts";
import { AssistantError } from "../../../core/errors.ts";
import { newItemId } from "../../../core/ids.ts";
import type { JsonObject } from "../../../core/inference.ts";
import { type JsonSchema, Type } from "../../../core/schema.ts";
import { type ModelDirectory, resolveModel } from "../../../inference/resolve.ts";
import { withoutNulls } from "../../../tasks/precedence.ts";
import { checkedBody, statedBody } from "../../front/checked-body.ts";
import type { RouteDescription } from "../../front/describe.ts";

export interface ConversationRoutesOptions {
  readonly directory: ModelDirectory;
  /** Null: none are stored, and there are no routes for them. */
  readonly conversations: Conversations | null;
  /** The listener only serves these models; null: all. */
  readonly onlyModels: readonly string[] | null;
}

const PREFIX = conversationRoutes.conversations;
const MAX_PAGE = 1_000;
const DEFAULT_PAGE = 100;
/** JSON size of a conversation's metadata, which is part of every list. */
const MAX_METADATA_BYTES = 16 * 1024;

/** For both: a null field counts as missing. */
const ConversationBody = Type.Object({
  model: text("Model to use if a request names none. In an update: an empty string removes it."),
  system_prompt: text("The first message. In an update: an empty string removes it."),
  metadata: Type.Optional(
    Type.Unsafe<JsonObject>({
      type: "object",
      description: "Stored unchanged. In an update: replaces the previous value.",
    }),
  ),
});
const MessageBody = Type.Object({
  role: Type.Enum(["system", "user", "assistant"], { required: true }),
  content: requiredText("Text.", { minLength: 1 }),
});
const BranchBody = Type.Object({
  at_message: integer("Number of the last message that the branch has, from 1. Default: all.", { minimum: 1 }),
});
const limit = integer("Most of a page.", { minimum: 1, maximum: MAX_PAGE });
const ListQuery = Type.Object({ limit, offset: integer("How many to skip.", { minimum: 0 }) });
const MessagesQuery = Type.Object({ limit });
const ShowQuery = Type.Object({ include_messages: choice(["true", "false"], "Whether the messages are shown.") });

const orNull = (type: string): JsonSchema => ({ type: [type, "null"] });
const Shown: JsonSchema = {
  title: "Conversation",
  type: "object",
  required: ["conversation_id", "model", "system_prompt", "message_count", "created_at", "updated_at", "metadata"],
  properties: {
    conversation_id: { type: "string", pattern: "^conv_[0-9a-f]{12}$" },
    model: orNull("string"),
    system_prompt: orNull("string"),
    message_count: { type: "integer" },
    created_at: { type: "string" },
    updated_at: { type: "string" },
    metadata: { type: "object" },
  },
};
const answers = { "application/json": Shown };
const page: JsonSchema = {
  type: "object",
  properties: {
    limit: { type: "string", pattern: "^[1-9]\\d{0,2}$" },
    offset: { type: "string", pattern: "^\\d{1,9}$" },
  },
};
const described = {
  create: { summary: "Begin a conversation", body: statedBody(ConversationBody), status: 201, answers },
  list: { summary: "List the conversations, the last changed first", query: page },
  show: {
    summary: "Show a conversation",
    query: { type: "object", properties: { include_messages: { enum: ["true", "false"] } } },
    answers,
  },
  update: { summary: "Change a conversation", body: statedBody(ConversationBody), answers },
  delete: { summary: "Delete a conversation", status: 204 },
  add: { summary: "Add a message", body: statedBody(MessageBody), status: 201 },
  messages: { summary: "List the messages, or the newest of them", query: page },
  clear: { summary: "Delete the messages but for the system prompt", status: 204 },
  branch: {
    summary: "Branch a conversation",
    body: statedBody(BranchBody),
    bodyOptional: true,
    status: 201,
    answers,
  },
} satisfies Readonly<Record<string, RouteDescription>>;

/** Conversations and their messages. A key sees only its own. */
export function registerConversationRoutes(app: FastifyInstance, options: ConversationRoutesOptions): void {
  const { conversations } = options;
  if (conversations === null) return;
  const open = (describe: RouteDescription) => ({ config: { describe } });

  app.post(PREFIX, open(described.create), async (request, reply) => {
    const { model, systemPrompt, metadata } = fieldsOf(request, options);
    const order = { model: model ?? null, systemPrompt: systemPrompt ?? null, metadata: metadata ?? {} };
    return await reply.code(201).send(shown(await conversations.create(tenantOf(request), order)));
  });
  app.get(PREFIX, open(described.list), async (request) => {
    const { limit: size = DEFAULT_PAGE, offset = 0 } = checkedBody(ListQuery, numbersOf(request));
    const found = await conversations.list(tenantOf(request), { limit: size, offset });
    return { conversations: found.conversations.map(shown), total: found.total, limit: size, offset };
  });
  app.get(`${PREFIX}/:id`, open(described.show), async (request) => {
    const { include_messages: wanted } = checkedBody(ShowQuery, { ...(request.query as object) });
    if (wanted !== "true") return shown(await conversations.get(tenantOf(request), idOf(request)));
    const { conversation, items } = await conversations.read(tenantOf(request), idOf(request));
    return { ...shown(conversation), messages: messagesOf(items) };
  });
  app.patch(`${PREFIX}/:id`, open(described.update), async (request) => {
    const changed = await conversations.update(tenantOf(request), idOf(request), fieldsOf(request, options));
    return shown(changed);
  });
  app.delete(`${PREFIX}/:id`, open(described.delete), async (request, reply) => {
    await conversations.delete(tenantOf(request), idOf(request));
    return await reply.code(204).send();
  });
  app.post(`${PREFIX}/:id/messages`, open(described.add), async (request, reply) => {
    const { role, content } = checkedBody(MessageBody, request.body);
    const message = textMessage(newItemId("msg"), role, content);
    const { added } = await conversations.append(tenantOf(request), idOf(request), [message]);
    return await reply.code(201).send(messagesOf(added)[0]);
  });
  app.get(`${PREFIX}/:id/messages`, open(described.messages), async (request) => {
    const { limit: size } = checkedBody(MessagesQuery, numbersOf(request));
    const { items } = await conversations.read(tenantOf(request), idOf(request));
    const messages = messagesOf(items);
    return { messages: size === undefined ? messages : messages.slice(-size) };
  });
  app.delete(`${PREFIX}/:id/messages`, open(described.clear), async (request, reply) => {
    await conversations.clear(tenantOf(request), idOf(request));
    return await reply.code(204).send();
  });
  app.post(`${PREFIX}/:id/branch`, open(described.branch), async (request, reply) => {
    const { at_message: at } = checkedBody(BranchBody, withoutNulls(request.body ?? {}));
    const branch = await conversations.branch(tenantOf(request), idOf(request), at ?? null);
    return await reply.code(201).send(shown(branch));
  });
}

interface Fields {
  readonly model?: string | null;
  readonly systemPrompt?: string | null;
  readonly metadata?: JsonObject;
}

/** The given fields of a body. Throws `invalid_request`, `model_not_found`, … */
function fieldsOf({ body, identity }: FastifyRequest, { directory, onlyModels }: ConversationRoutesOptions): Fields {
  const { model, system_prompt: prompt, metadata } = checkedBody(ConversationBody, withoutNulls(body ?? {}));
  if (model !== undefined && model !== "")
    resolveModel(directory, { selector: { model, among: onlyModels }, operation: "chat", caller: identity.caller });
  const bytes = metadata === undefined ? 0 : Buffer.byteLength(JSON.stringify(metadata));
  if (bytes > MAX_METADATA_BYTES)
    throw new AssistantError(
      "invalid_request",
      `metadata: expected at most ${MAX_METADATA_BYTES} bytes of JSON, found ${bytes}.`,
      { param: "metadata" },
    );
  return {
    ...(model === undefined ? {} : { model: model === "" ? null : model }),
    ...(prompt === undefined ? {} : { systemPrompt: prompt === "" ? null : prompt }),
    ...(metadata === undefined ? {} : { metadata }),
  };
}

const tenantOf = ({ identity }: FastifyRequest): string => identity.caller.tenant;
const idOf = ({ params }: FastifyRequest): string => (params as { readonly id: string }).id;

/** A query with numeric values. */
const numbersOf = ({ query }: FastifyRequest): object =>
  Object.fromEntries(Object.entries(query as object).map(([name, value]) => [name, Number(value)]));

const time = (epochMs: number): string => new Date(epochMs).toISOString();

const shown = (conversation: Conversation): ConversationView => ({
  conversation_id: conversation.id,
  model: conversation.model,
  system_prompt: conversation.systemPrompt,
  message_count: conversation.messageCount,
  created_at: time(conversation.createdAt),
  updated_at: time(conversation.updatedAt),
  metadata: conversation.metadata,
});

/** The text of a message, without tool calls and thinking. */
const messagesOf = (items: readonly StoredItem[]): readonly ConversationMessage[] =>
  items
    .filter(({ item }) => isMessage(item))
    .map(({ at, item }) => ({ role: String(item["role"]), content: textOf(item), timestamp: time(at) }));
