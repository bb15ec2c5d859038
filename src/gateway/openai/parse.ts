import type { IncomingMessage } from "node:http";
import { AssistantError } from "../../core/errors.ts";
import type { ModelSpec } from "../../core/model.ts";
import type { Fingerprint, InferenceRoute } from "../ports.ts";
import { jsonErrorPosition } from "./json-position.ts";

type Body = Readonly<Record<string, unknown>>;

/** Throws `unsupported_media_type` unless the body says it is JSON. Pages cannot send that type without a preflight. */
export function checkContentType(request: IncomingMessage): void {
  const type = request.headers["content-type"];
  if (type !== undefined && /^application\/(?:[\w.-]+\+)?json *(?:;|$)/i.test(type)) return;
  const found = type === undefined ? "none" : `"${type.slice(0, 80)}"`;
  throw new AssistantError("unsupported_media_type", `The content type must be application/json; found ${found}.`, {
    remedy: "Send the header `Content-Type: application/json`.",
  });
}

/** The body as an object. Throws `empty_body`, `invalid_json` with the position, or `invalid_request`. */
export function parseBody(bytes: Buffer): Body {
  if (bytes.length === 0) throw new AssistantError("empty_body", "The request has no body; expected a JSON object.");
  const text = bytes.toString("utf8");
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    const { offset, line, column } = jsonErrorPosition(text);
    const found = offset >= text.length ? "the body ends too early" : `found ${JSON.stringify(text.slice(offset, offset + 1))}`;
    throw new AssistantError("invalid_json", `The body is not JSON: ${found} at line ${line}, column ${column} (position ${offset}).`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Body;
  throw new AssistantError(
    "invalid_request",
    `The body must be a JSON object; found ${Array.isArray(value) ? "an array" : JSON.stringify(value)?.slice(0, 40)}.`,
  );
}

/** Tokens of an answer whose request sets no limit, for the scheduler's estimate of the work. */
const USUAL_ANSWER_TOKENS = 256;

/** Most tokens the answer may have, or the usual length where nobody set a limit. */
export function answerTokens(route: InferenceRoute, body: Body, model: ModelSpec): number {
  if (route.name === "embedding") return 0;
  const asked = body.max_completion_tokens ?? body.max_tokens ?? body.n_predict;
  if (typeof asked === "number" && asked >= 0) return Math.min(asked, model.load.contextTokens);
  return model.sampling.maxTokens >= 0 ? model.sampling.maxTokens : Math.min(USUAL_ANSWER_TOKENS, model.load.contextTokens);
}

/** About four bytes of English make a token; used where no better estimate is given. */
export const fingerprintByLength: Fingerprint = (body) => {
  const prompt = body.messages ?? body.prompt ?? body.input ?? "";
  return { promptTokens: Math.ceil(JSON.stringify(prompt).length / 4), prefix: [] };
};

const DEFAULT_PRIORITY = 50;

/** `x-assistant-priority`: 0–100, higher first; 50 where it is not given. Throws `invalid_request`. */
export function priorityOf(request: IncomingMessage): number {
  return headerNumber(request, "x-assistant-priority", 100) ?? DEFAULT_PRIORITY;
}

/** What the official OpenAI clients tell of their own patience, and what others may say: seconds. */
const SECONDS_HEADERS = ["x-request-timeout", "x-stainless-timeout"] as const;
const LONGEST_TIMEOUT_MS = 86_400_000;

/**
 * Epoch milliseconds after which an answer that has not begun is of no use, or null: the earliest of
 * `x-assistant-timeout-ms`, `x-request-timeout` (seconds) and `x-stainless-timeout` (seconds). The last one ends a
 * client's wait for a head, which a waiting stream gets early; it counts for answers in one piece alone. Throws `invalid_request`.
 */
export function deadlineOf(request: IncomingMessage, streamed: boolean): number | null {
  let timeoutMs = headerNumber(request, "x-assistant-timeout-ms", LONGEST_TIMEOUT_MS) ?? Number.POSITIVE_INFINITY;
  for (const name of SECONDS_HEADERS) {
    const text = request.headers[name];
    if (text === undefined || (streamed && name === "x-stainless-timeout")) continue;
    const seconds = typeof text === "string" && /^\d{1,9}(?:\.\d{1,6})?$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isNaN(seconds)) {
      throw new AssistantError("invalid_request", `The header ${name} must be a number of seconds; found "${String(text).slice(0, 40)}".`, { param: name });
    }
    // The official client cuts the fraction off.
    timeoutMs = Math.min(timeoutMs, (name === "x-stainless-timeout" ? seconds + 1 : seconds) * 1000);
  }
  return timeoutMs <= LONGEST_TIMEOUT_MS ? Date.now() + timeoutMs : null;
}

function headerNumber(request: IncomingMessage, name: string, most: number): number | null {
  const text = request.headers[name];
  if (text === undefined) return null;
  const value = Number(text);
  if (typeof text === "string" && /^\d+$/.test(text) && value <= most) return value;
  throw new AssistantError("invalid_request", `The header ${name} must be an integer from 0 to ${most}; found "${String(text).slice(0, 40)}".`, {
    param: name,
  });
}
