import { AssistantError } from "../../../core/errors.ts";

/** An error in Anthropic's format. */
export interface AnthropicError {
  readonly type: "error";
  readonly error: {
    readonly type: string;
    readonly message: string;
    /** Additions to Anthropic's own errors: our code and the field. */
    readonly code: string;
    readonly param: string | null;
  };
  readonly request_id: string;
}

/** By HTTP status; others are the request's fault below 500, and the server's above. */
const TYPES: Readonly<Record<number, string>> = {
  401: "authentication_error",
  402: "billing_error",
  403: "permission_error",
  404: "not_found_error",
  413: "request_too_large",
  429: "rate_limit_error",
  503: "overloaded_error",
  504: "timeout_error",
};

export function errorBody(error: AssistantError, requestId: string): AnthropicError {
  const type = TYPES[error.status] ?? (error.status < 500 ? "invalid_request_error" : "api_error");
  const { code, param } = error;
  return { type: "error", error: { type, message: messageOf(error), code, param }, request_id: requestId };
}

export const errorEvent = (error: AssistantError, requestId: string): Buffer =>
  Buffer.from(`event: error\ndata: ${JSON.stringify(errorBody(error, requestId))}\n\n`);

/** Clients show only the message. Agents recognise by Anthropic's wording that a conversation must be shortened. */
function messageOf({ code, message, remedy, counts }: AssistantError): string {
  const said = remedy === null ? message : `${message} ${remedy}`;
  if (code !== "context_length_exceeded") return said;
  const { n_prompt_tokens: prompt, n_ctx: context } = counts ?? {};
  return prompt === undefined || context === undefined
    ? `prompt is too long. ${said}`
    : `prompt is too long: ${prompt} tokens > ${context} maximum. ${said}`;
}

/** Refuses unsupported features, and fields that are not part of the API. */
export const unsupported = (param: string, message: string, remedy: string): AssistantError =>
  new AssistantError("invalid_request", message, { param, remedy });
