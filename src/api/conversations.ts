/** Routes of conversations, as client and gateway share them. */
const PREFIX = "/api/v1/conversations";
export const conversationRoutes = {
  conversations: PREFIX,
  conversation: (id: string): string => `${PREFIX}/${encodeURIComponent(id)}`,
} as const;

/** A conversation as `/api/v1/conversations` shows it. Times are ISO 8601 in UTC. */
export interface ConversationView {
  readonly conversation_id: string;
  readonly model: string | null;
  readonly system_prompt: string | null;
  readonly message_count: number;
  readonly created_at: string;
  readonly updated_at: string;
  readonly metadata: Readonly<Record<string, unknown>>;
}

export interface ConversationMessage {
  readonly role: string;
  readonly content: string;
  readonly timestamp: string;
}

/** With `include_messages`. */
export interface WholeConversation extends ConversationView {
  readonly messages: readonly ConversationMessage[];
}

export interface ConversationPage {
  readonly conversations: readonly ConversationView[];
  readonly total: number;
  readonly limit: number;
  readonly offset: number;
}
