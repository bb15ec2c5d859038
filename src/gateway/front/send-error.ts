import type { ServerResponse } from "node:http";
import type { AssistantError } from "../../core/errors.ts";

/** Seconds until a retry makes sense: computed by the origin of the refusal, otherwise one second. */
export const retryAfterOf = (error: AssistantError): string | null =>
  error.retryAfterS !== null || error.status === 429 || error.status === 503
    ? String(Math.max(1, Math.ceil(error.retryAfterS ?? 1)))
    : null;

/** Writes a complete error response. `headers`: name, value, name, value, … */
export function sendError(
  response: ServerResponse,
  error: AssistantError,
  errorBody: object,
  headers: readonly string[],
): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(JSON.stringify(errorBody));
  const all = ["Content-Type", "application/json; charset=utf-8", "Content-Length", String(body.length), ...headers];
  const retryAfter = retryAfterOf(error);
  if (retryAfter !== null) all.push("Retry-After", retryAfter);
  if (error.status === 401) all.push("WWW-Authenticate", 'Bearer realm="assistant"');
  response.writeHead(error.status, all);
  response.end(body);
}
