import type { ServerResponse } from "node:http";
import type { ErrorBody } from "../../api/status.ts";
import { AssistantError, toAssistantError } from "../../core/errors.ts";

/** The one shape of errors, as OpenAI's clients read it. */
export function errorBody(error: AssistantError, requestId: string): ErrorBody {
  return {
    error: {
      message: error.message,
      type: error.type,
      param: error.param,
      code: error.code,
      ...(error.remedy === null ? {} : { remedy: error.remedy }),
      request_id: requestId,
    },
  };
}

/** What is shown of anything thrown: the text of a fault of our own may hold what is nobody's business. */
export function presentable(thrown: unknown): AssistantError {
  const error = toAssistantError(thrown);
  if (error.code !== "internal" || error === thrown) return error;
  return new AssistantError("internal", "Something went wrong inside Assistant; its log has the details under this request id.", { cause: thrown });
}

/** Seconds for clients that are told to come back; computed by whoever refused, else a second. */
export const retryAfterOf = (error: AssistantError): string | null =>
  error.retryAfterS !== null || error.status === 429 || error.status === 503 ? String(Math.max(1, Math.ceil(error.retryAfterS ?? 1))) : null;

/** Writes a whole error answer. `headers`: name, value, name, value, … */
export function sendError(response: ServerResponse, error: AssistantError, requestId: string, headers: readonly string[]): void {
  if (response.headersSent || response.destroyed) return;
  const body = Buffer.from(JSON.stringify(errorBody(error, requestId)));
  const all = ["Content-Type", "application/json; charset=utf-8", "Content-Length", String(body.length), ...headers];
  const retryAfter = retryAfterOf(error);
  if (retryAfter !== null) all.push("Retry-After", retryAfter);
  if (error.status === 401) all.push("WWW-Authenticate", 'Bearer realm="assistant"');
  response.writeHead(error.status, all);
  response.end(body);
}
