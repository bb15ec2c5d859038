import {
  type ConversationPage,
  type ConversationView,
  conversationRoutes,
  type WholeConversation,
} from "../api/conversations.ts";
import type { Paths } from "../core/config.ts";
import { callJson } from "./unix-http.ts";

/** Conversations of this machine's user. Every call rejects with an AssistantError. */
export interface ConversationClient {
  create(fields: { readonly model: string; readonly system_prompt: string | null }): Promise<ConversationView>;
  list(query: Readonly<Record<"limit" | "offset", number>>): Promise<ConversationPage>;
  show(id: string): Promise<WholeConversation>;
  remove(id: string): Promise<void>;
}

/** Writes wait for a disk. */
const SILENCE_MS = 30_000;

export function conversationClient({ adminSocket: socketPath }: Pick<Paths, "adminSocket">): ConversationClient {
  const call = <T>(method: "GET" | "POST" | "DELETE", path: string, body?: object): Promise<T> =>
    callJson({ socketPath, method, path, body, silenceMs: SILENCE_MS });
  const { conversations, conversation } = conversationRoutes;
  return {
    create: (fields) => call("POST", conversations, fields),
    list: ({ limit, offset }) => call("GET", `${conversations}?limit=${limit}&offset=${offset}`),
    show: (id) => call("GET", `${conversation(id)}?include_messages=true`),
    remove: async (id) => void (await call("DELETE", conversation(id))),
  };
}
