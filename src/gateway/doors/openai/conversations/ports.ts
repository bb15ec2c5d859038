import type { Conversations } from "../../../../conversations/conversations.ts";
import type { HistoryAsk } from "../../../../conversations/history.ts";
import type { Item } from "../../../../conversations/item.ts";
import { isAssistantError } from "../../../../core/errors.ts";
import type { InferenceCall } from "../../../../core/inference.ts";
import type { InferenceCore } from "../../../../inference/core.ts";
import { type ModelDirectory, resolveModel } from "../../../../inference/resolve.ts";
import { conversationIdOf } from "../../../canonical/conversation.ts";
import { invalid } from "../../../canonical/rules.ts";

export interface ConversationPorts {
  readonly inference: InferenceCore;
  readonly directory: ModelDirectory;
  /** Null: none are stored. */
  readonly conversations: Conversations | null;
}

/** The conversation that a call belongs to. */
export interface Continuation {
  readonly id: string;
  /** The same call, with the conversation's model if it names none. */
  readonly call: InferenceCall;
  /** The history that precedes the new messages. */
  history(ask: Pick<HistoryAsk, "added" | "systemPrompt" | "tools" | "maxTokens">): Promise<readonly Item[]>;
}

/**
 * Rejects with `invalid_request` for an invalid conversation, with `conversation_not_found`, `storage_quota_exceeded`,
 * and like `resolveModel`.
 */
export async function continuationOf(
  given: InferenceCall,
  conversation: unknown,
  { directory, conversations }: ConversationPorts,
): Promise<Continuation> {
  const id = conversationIdOf(conversation);
  if (conversations === null) throw invalid("conversation", "This daemon does not store conversations.");
  const { tenant } = given.caller;
  const { model: own } = await conversations.get(tenant, id);
  await conversations.requireRoom(tenant);
  const { selector } = given;
  const asksForNone = selector.model === "" && selector.capabilities === undefined;
  const call = asksForNone && own !== null ? { ...given, selector: { ...selector, model: own } } : given;
  const model = resolveModel(directory, call);
  return { id, call, history: (ask) => conversations.history(tenant, id, { ...ask, model, origin: call }) };
}

/** Deleting a conversation during an answer does not fail the answer. */
export async function unlessDeleted(adding: Promise<unknown>): Promise<boolean> {
  try {
    await adding;
    return true;
  } catch (error) {
    if (isAssistantError(error) && error.code === "conversation_not_found") return false;
    throw error;
  }
}
