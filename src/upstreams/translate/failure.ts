import { AssistantError, isAssistantError } from "../../core/errors.ts";
import { brokenOff, errorAnswer, malformed, transportFailure } from "../http/failure.ts";
import type { AskedModel, Dialect } from "./dialect.ts";
import { isObject, isString, refused } from "./refuse.ts";

/** Errors thrown by the SDKs, or in their streams; its parts are present if known. */
interface SdkError {
  readonly name?: string;
  readonly message?: string;
  readonly cause?: unknown;
  readonly statusCode?: number;
  readonly responseHeaders?: Readonly<Record<string, string>>;
  readonly responseBody?: string;
  /** In an error within a stream: the service's own type of it. */
  readonly type?: string;
  readonly value?: unknown;
}

const MALFORMED = "sent an answer that does not follow its API";

/** Translates a failure at a provider for the client. Errors not from the SDK stay unchanged. */
export function failureOf(thrown: unknown, asked: AskedModel): unknown {
  if (isAssistantError(thrown) || typeof thrown !== "object" || thrown === null) return thrown;
  const error = thrown as SdkError;
  // Found by our own transport, within the SDK's own error.
  if (isAssistantError(error.cause)) return error.cause;
  switch (error.name) {
    case "AI_UnsupportedFunctionalityError":
    case "AI_InvalidArgumentError":
    case "AI_InvalidPromptError":
      return refused("messages", `"${asked.model}" does not support this request: ${error.message ?? ""}`);
    case "AI_APICallError":
      return ofAnswer(error, asked);
    case "AI_JSONParseError":
    case "AI_TypeValidationError":
    case "AI_InvalidResponseDataError":
    case "AI_EmptyResponseBodyError":
      return malformed(asked, MALFORMED);
    default:
      // The first event is not one.
      if (error.message?.startsWith("Expected a normalized")) return malformed(asked, MALFORMED);
      // Not an Error: sent by services within a stream.
      return "isRetryable" in error ? ofStream(error, asked) : thrown;
  }
}

function ofAnswer(error: SdkError, asked: AskedModel): AssistantError {
  const { statusCode: status, responseHeaders: headers = {}, responseBody: body = "", cause } = error;
  if (status === undefined) return transportFailure(asked.provider, cause);
  if (status < 300)
    return isSdkError(cause) ? malformed(asked, "sent JSON of another form") : brokenOff(asked.provider, cause);
  return refusedBy(status, headers, body, asked);
}

/** An answer whose status indicates an error. */
export function refusedBy(
  status: number,
  headers: Readonly<Record<string, string>>,
  body: string,
  asked: AskedModel,
): AssistantError {
  const delay = /"retryDelay"\s*:\s*"(\d+(?:\.\d+)?)s"/.exec(body)?.[1];
  const all = delay === undefined ? headers : { "retry-after": delay, ...headers };
  return tooLong(body, asked) ?? errorAnswer(meantStatus(status, body), all, body, asked);
}

function ofStream({ statusCode = 500, message, type }: SdkError, asked: AskedModel): AssistantError {
  return errorAnswer(statusCode, {}, JSON.stringify({ error: { message, type } }), asked);
}

const isSdkError = (error: unknown): boolean => error instanceof Error && error.name.startsWith("AI_");

/** Both services use the status of a bad request for some errors that are not the request's fault. */
function meantStatus(status: number, body: string): number {
  if (status !== 400) return status;
  if (/"API_KEY_INVALID"|API key not valid/.test(body)) return 401;
  return /credit balance is too low|"FAILED_PRECONDITION"/.test(body) ? 402 : status;
}

/** The services' messages for prompts that are too long: tokens found, then tokens allowed. */
const TOO_LONG = [
  /prompt is too long: (\d+) tokens > (\d+) maximum/,
  /input token count \(?(\d+)\)? exceeds the maximum number of tokens allowed \(?(\d+)\)?/,
];

function tooLong(text: string, { model }: AskedModel): AssistantError | null {
  const [, prompt, context] = TOO_LONG.map((pattern) => pattern.exec(text)).find((found) => found !== null) ?? [];
  if (prompt === undefined || context === undefined) return null;
  return new AssistantError(
    "context_length_exceeded",
    `The prompt has ${prompt} tokens; the context of "${model}" holds ${context}.`,
    {
      param: "messages",
      remedy: "Shorten the prompt, or use a model with a larger context.",
      counts: { n_prompt_tokens: Number(prompt), n_ctx: Number(context) },
    },
  );
}

/**
 * Whether this is an event type newer than the SDK: the services announce that there will be some, and ask clients to
 * ignore them.
 */
export function isUnknownEvent(error: unknown, { events }: Dialect): boolean {
  const { name, value } = (error ?? {}) as SdkError;
  if (name !== "AI_TypeValidationError" || !isObject(value) || events === null) return false;
  return isString(value["type"]) && !events.has(value["type"]);
}
