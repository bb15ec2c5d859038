import type { FinishedRequest } from "../core/request.ts";

/** Their text is the engine's, which may quote the prompt or what it has answered. */
const QUOTING: ReadonlySet<string | undefined> = new Set(["engine_error"]);

/** A request's line as the log may have it: an engine's own words stay in the engine's log. */
export function withoutQuotes(fields: FinishedRequest): FinishedRequest {
  if (!QUOTING.has(fields.code) || !("error" in fields)) return fields;
  const { error: _error, ...rest } = fields as FinishedRequest & { readonly error: unknown };
  return rest;
}
