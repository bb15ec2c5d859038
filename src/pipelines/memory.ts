import { Cancellation } from "../core/cancellation.ts";
import type { InferenceCall, JsonObject } from "../core/inference.ts";
import { CallerGone } from "../core/upstream.ts";
import type { StageMemory } from "./stage.ts";

/** Stored conversations, as far as pipelines need them. */
export interface PipelineConversations {
  /** A chat request behind the history of a conversation. Rejects with `conversation_not_found`. */
  continued(
    id: string,
    request: JsonObject,
    origin: Pick<InferenceCall, "caller" | "cancellation" | "route" | "priority" | "deadlineAt"> & {
      readonly model: string;
    },
  ): Promise<JsonObject>;
  /** Adds what was asked and answered, in one piece; does nothing where the conversation is gone. */
  add(tenant: string, id: string, request: JsonObject, answer: string): Promise<void>;
}

/** The conversation of one request. */
export const memoryOf = (
  conversations: PipelineConversations,
  id: string,
  { caller, route, priority, deadlineAt }: InferenceCall,
  signal: AbortSignal,
): StageMemory => ({
  async continued(request) {
    const cancellation = new Cancellation();
    const cancel = (): void => cancellation.cancel(new CallerGone());
    signal.addEventListener("abort", cancel, { once: true });
    try {
      const origin = { caller, cancellation, route, priority, deadlineAt, model: String(request["model"]) };
      return await conversations.continued(id, request, origin);
    } finally {
      signal.removeEventListener("abort", cancel);
    }
  },
  keep: (request, answer) => conversations.add(caller.tenant, id, request, answer),
});
