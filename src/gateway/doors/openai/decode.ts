import type { IncomingHttpHeaders } from "node:http";
import { AssistantError } from "../../../core/errors.ts";
import type { JsonObject } from "../../../core/inference.ts";
import type { Operation } from "../../../core/model.ts";
import type { DecodedBody } from "../../front/door.ts";
import { checkFields } from "./fields.ts";
import { jsonErrorPosition } from "./json-position.ts";

/** Throws `unsupported_media_type` unless the body says it is JSON. Pages cannot send that type without a preflight. */
export function checkContentType(headers: IncomingHttpHeaders): void {
  const type = headers["content-type"];
  if (type !== undefined && /^application\/(?:[\w.-]+\+)?json *(?:;|$)/i.test(type)) return;
  const found = type === undefined ? "none" : `"${type.slice(0, 80)}"`;
  throw new AssistantError("unsupported_media_type", `The content type must be application/json; found ${found}.`, {
    remedy: "Send the header `Content-Type: application/json`.",
  });
}

/** The body as an object. Throws `empty_body`, `invalid_json` with the position, or `invalid_request`. */
function parseBody(bytes: Buffer): JsonObject {
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
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as JsonObject;
  throw new AssistantError(
    "invalid_request",
    `The body must be a JSON object; found ${Array.isArray(value) ? "an array" : JSON.stringify(value)?.slice(0, 40)}.`,
  );
}

/** Throws `empty_body`, `invalid_json`, or `invalid_request` naming the first wrong field. */
export function decodeBody(operation: Operation, bytes: Buffer): DecodedBody {
  const json = parseBody(bytes);
  checkFields(operation, json);
  const { model, messages, tools, prompt, input, stream } = json as Readonly<Record<string, unknown>>;
  return {
    model: typeof model === "string" ? model : "",
    body: { bytes, json },
    prompt: operation === "chat" ? { messages, tools } : { text: operation === "completion" ? prompt : input },
    streamed: stream === true && operation !== "embedding",
    maxTokens: maxTokensOf(operation, json),
  };
}

function maxTokensOf(operation: Operation, json: JsonObject): number | null {
  if (operation === "embedding") return 0;
  const asked = json["max_completion_tokens"] ?? json["max_tokens"] ?? json["n_predict"];
  return typeof asked === "number" && asked >= 0 ? asked : null;
}
