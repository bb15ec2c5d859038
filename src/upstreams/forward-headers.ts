import { requestHeaders } from "../api/headers.ts";
import { steadyClock } from "../core/clock.ts";
import { modelKinds } from "../core/model.ts";
import type { Sending } from "../core/upstream.ts";

/**
 * Headers with which another daemon treats a call as this one would. `nodeId`: this daemon's id, which is added to the
 * hop list.
 */
export function forwardHeaders({ call, model, scope, trace }: Sending, nodeId: string): Record<string, string> {
  const headers: Record<string, string> = {
    [requestHeaders.id]: call.clientId ?? call.id,
    [requestHeaders.hops]: [...call.hops, nodeId].join(", "),
    [requestHeaders.priority]: String(call.priority),
    ...trace,
  };
  if (scope.name !== "" && modelKinds[model.kind].generates) headers[requestHeaders.cacheScope] = scope.name;
  if (call.deadlineAt !== null)
    headers[requestHeaders.timeoutMs] = String(Math.max(0, call.deadlineAt - steadyClock.now()));
  return headers;
}
