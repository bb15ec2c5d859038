import type { ConversationView, WholeConversation } from "../api/conversations.ts";
import { formatDuration, truncate } from "./format.ts";
import { alignColumns } from "./table.ts";

const TITLES = ["ID", "MODEL", "MESSAGES", "CHANGED", "SYSTEM PROMPT"];
const PROMPT_WIDTH = 48;

/** Conversations as a table. `now`: epoch milliseconds. Pure. */
export function conversationsText(conversations: readonly ConversationView[], now: number): string[] {
  const rows = conversations.map((each) => [
    each.conversation_id,
    each.model ?? "-",
    String(each.message_count),
    `${formatDuration(now - Date.parse(each.updated_at))} ago`,
    truncate((each.system_prompt ?? "").replace(/\s+/g, " ").trim(), PROMPT_WIDTH),
  ]);
  return alignColumns([TITLES, ...rows]);
}

/** One conversation with what was said. Pure. */
export function conversationText(conversation: WholeConversation): string[] {
  const rows: [string, string][] = [
    ["conversation", conversation.conversation_id],
    ["model", conversation.model ?? "-"],
    ["made", conversation.created_at],
    ["changed", conversation.updated_at],
    ...Object.entries(conversation.metadata).map(([name, value]): [string, string] => [name, JSON.stringify(value)]),
  ];
  const said = conversation.messages.flatMap(({ role, content }) => ["", `[${role}]`, content]);
  return [...alignColumns(rows), ...said];
}
