import type { InferenceCall, JsonObject } from "../core/inference.ts";
import type { Write } from "../core/store.ts";

/** A conversation that a task belongs to. */
export interface TaskConversation {
  readonly id: string;
  /** Whether prompt and answer are added to it. */
  readonly saves: boolean;
}

/** Who requests a history: the model that receives it, and the tenant. */
interface HistoryOrigin extends Pick<InferenceCall, "caller" | "cancellation" | "route" | "priority" | "deadlineAt"> {
  readonly model: string;
}

/** Stored conversations, as far as tasks need them. */
export interface TaskConversations {
  /** A chat request preceded by the history of a conversation. Rejects with `conversation_not_found`. */
  continued(id: string, request: JsonObject, origin: HistoryOrigin): Promise<JsonObject>;
  /** Writes that add prompt and answer; they fail if the conversation has changed since. Empty: it no longer exists. */
  adding(tenant: string, id: string, request: JsonObject, answer: string): Promise<readonly Write[]>;
}

/** If no conversations are stored, no task has one. */
export const noConversations: TaskConversations = {
  continued: async (_, request) => request,
  adding: async () => [],
};
