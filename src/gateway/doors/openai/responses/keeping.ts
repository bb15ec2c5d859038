import { type ConversationPorts, unlessDeleted } from "../conversations/ports.ts";
import type { ResponseAnswer } from "./answer.ts";
import type { ResponseRequest } from "./request.ts";
import type { Responses } from "./stored.ts";

export interface KeepingPorts extends Pick<ConversationPorts, "conversations"> {
  /** Null: none is stored. */
  readonly responses: Responses | null;
}

/** Stores completed responses, and adds a complete turn to its conversation. */
export async function kept(
  { responses, conversations }: KeepingPorts,
  tenant: string,
  request: ResponseRequest,
  answer: ResponseAnswer,
  events: readonly string[] | null = null,
): Promise<void> {
  if (responses?.mayKeep(tenant) === false) return;
  const { conversationId, isStored, input } = request;
  const { output } = answer.response;
  const also = isStored && responses !== null ? [responses.keeping(tenant, request, answer, events)] : [];
  const isAdded =
    conversationId !== null &&
    conversations !== null &&
    answer.isAnswered &&
    (await unlessDeleted(conversations.append(tenant, conversationId, [...input, ...output], { also, isTurn: true })));
  if (!isAdded && isStored) await responses?.keep(tenant, request, answer, events);
}
