import { chatTurn, continued } from "../conversations/chat.ts";
import type { Conversations } from "../conversations/conversations.ts";
import { textMessage } from "../conversations/item.ts";
import { isAssistantError } from "../core/errors.ts";
import { newItemId } from "../core/ids.ts";
import type { JsonObject } from "../core/inference.ts";
import { type ModelDirectory, resolveModel } from "../inference/resolve.ts";
import type { PipelineConversations } from "../pipelines/memory.ts";
import type { TaskConversations } from "../tasks/conversation.ts";

/** Of a history, the newest that a task's model sees. */
const MAX_ITEMS = 50;

/** Lets tasks continue stored conversations. */
export const taskConversations = (conversations: Conversations, directory: ModelDirectory): TaskConversations => ({
  async continued(id, request, { model: name, ...origin }) {
    const { caller } = origin;
    const turn = turnOf(request);
    const { tools, max_tokens: maxTokens = null } = request;
    const history = await conversations.history(caller.tenant, id, {
      model: resolveModel(directory, { selector: { model: name, among: null }, operation: "chat", caller }),
      added: turn.items,
      systemPrompt: turn.systemPrompt,
      tools,
      maxTokens: maxTokens as number | null,
      maxItems: MAX_ITEMS,
      origin,
    });
    return { ...request, messages: continued(history, turn).messages };
  },
  async adding(tenant, id, request, answer) {
    const { items, systemPrompt } = turnOf(request);
    const turn = [...items, textMessage(newItemId("msg"), "assistant", answer)];
    return (await conversations.appending(tenant, id, turn, systemPrompt)) ?? [];
  },
});

/** Lets pipelines do. */
export const pipelineConversations = (
  conversations: Conversations,
  directory: ModelDirectory,
): PipelineConversations => ({
  continued: taskConversations(conversations, directory).continued,
  async add(tenant, id, request, answer) {
    const { items, systemPrompt } = turnOf(request);
    const turn = [...items, textMessage(newItemId("msg"), "assistant", answer)];
    await conversations.append(tenant, id, turn, { systemPrompt }).catch((error: unknown) => {
      if (!isAssistantError(error) || error.code !== "conversation_not_found") throw error;
    });
  },
});

const turnOf = ({ messages }: JsonObject) => chatTurn(messages as readonly JsonObject[]);
