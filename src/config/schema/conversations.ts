import { defaults } from "../defaults.ts";
import { decimal, integer, section } from "./kit.ts";

/** `[conversations]` of config.toml. */
export const ConversationSection = section(
  {
    ttl_days: decimal("How long a conversation is kept after its last change.", {
      exclusiveMinimum: 0,
      default: defaults.conversationTtlDays,
      unit: "d",
    }),
    max_messages: integer("Messages kept per conversation, including tool calls and their results.", {
      minimum: 2,
      maximum: 10_000,
      default: defaults.maxConversationMessages,
    }),
  },
  "Conversations that the daemon stores for its clients.",
);
