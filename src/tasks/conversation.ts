import type { InferenceCall, JsonObject } from "../core/inference.ts";
import type { Write } from "../core/store.ts";

/** A conversation that a task belongs to. */
export interface TaskConversation {
  readonly id: string;
  /** Whether what is asked and answered becomes part of it. */
  readonly saves: boolean;
}

/** What asks for a history: the model that is to see it, and for whom. */
interface HistoryOrigin extends Pick<InferenceCall, "caller" | "cancellation" | "route" | "priority" | "deadlineAt"> {
  readonly model: string;
}

/** Kept conversations, as far as tasks need them. */
export interface TaskConversations {
  /** A chat request behind the history of a conversation. Rejects with `conversation_not_found`. */
  continued(id: string, request: JsonObject, origin: HistoryOrigin): Promise<JsonObject>;
  /**
   * Writes that add what was asked and answered; they fail where the conversation has changed since. None: it is gone.
   */
  adding(tenant: string, id: string, request: JsonObject, answer: string): Promise<readonly Write[]>;
}

/** Where no conversations are kept, no task has one. */
export const noConversations: TaskConversations = {
  continued: async (_, request) => request,
  adding: async () => [],
};
