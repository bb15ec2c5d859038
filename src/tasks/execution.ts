import type { Cancellation } from "../core/cancellation.ts";
import { newRequestId } from "../core/ids.ts";
import type { Caller, InferenceCall, JsonObject } from "../core/inference.ts";
import type { StoredRecord } from "../core/store.ts";
import type { Span } from "../core/trace.ts";
import type { InferenceCore } from "../inference/core.ts";
import { type TextAnswer, TextSink } from "./answer-sink.ts";
import type { TaskRecord } from "./record.ts";

/** Parses a chat request like the doors do. Throws `invalid_request`. */
type ChatDecoder = (json: JsonObject) => Pick<InferenceCall, "body" | "checked" | "prompt" | "maxTokens">;

export interface Execution {
  readonly inference: Pick<InferenceCore, "run">;
  readonly decode: ChatDecoder;
  /** The caller on whose behalf a tenant's task runs, with its current permissions. Throws if it no longer has any. */
  readonly callerOf: (tenant: string) => Caller;
  readonly cancellation: Cancellation;
  /** Tasks by the ids of their running requests. */
  readonly requests: Map<string, string>;
  /** The attempt that this belongs to. */
  readonly span: Span | null;
  /** Receives the answer as it arrives. */
  readonly onText: (text: string) => void;
}

export const ROUTE = "/api/v1/tasks";

/** Calls one model for a task's answer. Rejects with the reason if there is none, or with `CallerGone`. */
export async function ask(
  { id, tenant, value: task }: StoredRecord<TaskRecord>,
  model: string,
  request: JsonObject,
  { inference, decode, callerOf, cancellation, span, requests, onText }: Execution,
): Promise<TextAnswer> {
  const caller = callerOf(tenant);
  const sink = new TextSink(onText);
  const requestId = newRequestId();
  requests.set(requestId, id);
  const json = { ...request, model, stream: true, stream_options: { include_usage: true } };
  try {
    await inference.run(
      {
        ...decode(json),
        id: requestId,
        clientId: id,
        caller,
        route: ROUTE,
        arrivedAt: performance.now(),
        cancellation,
        span,
        selector: { model, among: null },
        operation: "chat",
        wire: "openai.chat",
        streamed: true,
        priority: Math.round(task.priority),
        deadlineAt: null,
        hops: [],
        cachePart: null,
      },
      sink,
    );
  } finally {
    requests.delete(requestId);
  }
  return await sink.answer;
}
