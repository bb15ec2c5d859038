import type { AssistantError } from "../core/errors.ts";
import type { StoredRecord } from "../core/store.ts";
import { type Span, spanOf, TASK_SPAN, type Tracer } from "../core/trace.ts";
import type { TaskRecord } from "./record.ts";

type Task = Pick<StoredRecord<TaskRecord>, "id" | "tenant" | "value">;

/** The span of one attempt of a task, in the trace of the request that created it. Null if it is not traced. */
export const beginTaskSpan = (tracer: Tracer | null, { id, tenant, value: task }: Task): Span | null =>
  spanOf(tracer, { ...task.trace }, TASK_SPAN, () => ({
    attributes: {
      "assistant.task.id": id,
      "assistant.task.attempt": task.attempts + 1,
      "assistant.tenant": tenant,
      "gen_ai.request.model": task.model,
      "gen_ai.conversation.id": task.conversation?.id,
    },
  }));

/** `error`: why the attempt failed; null: it did not. */
export function endTaskSpan(span: Span | null, error: AssistantError | null): void {
  if (error !== null) span?.set({ "error.type": error.code });
  span?.end({ error: error === null ? null : { message: error.code } });
}

/** The span of one attempt to send a task's webhook. */
export const beginWebhookSpan = (tracer: Tracer | null, { id, value: task }: Omit<Task, "tenant">): Span | null =>
  spanOf(tracer, { ...task.trace }, "POST webhook", () => ({
    kind: "client",
    attributes: {
      "assistant.task.id": id,
      "http.request.method": "POST",
      "server.address": URL.parse(task.webhookUrl ?? "")?.hostname,
    },
  }));

export function endWebhookSpan(
  span: Span | null,
  { status, error }: { readonly status: number | null; readonly error: string | null },
): void {
  span?.set({
    "http.response.status_code": status ?? undefined,
    "error.type": error === null ? undefined : (status?.toString() ?? "unreachable"),
  });
  span?.end({ error: error === null ? null : { message: "not accepted" } });
}
