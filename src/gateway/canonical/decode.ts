import type { IncomingHttpHeaders } from "node:http";
import { AssistantError } from "../../core/errors.ts";
import { bodyOf, type InferenceCall, type JsonObject } from "../../core/inference.ts";
import type { DecodedBody } from "../front/door.ts";
import { capabilitiesOf } from "../front/selector.ts";
import type { Operation } from "./field-table.ts";
import { checkFields } from "./fields.ts";
import { jsonErrorPosition } from "./json-position.ts";
import { findExcess, MAX_DEPTH, mayHoldHalves, SMALL_BYTES, textOf, tooDeep, wellFormed } from "./json-text.ts";
import { invalid, shown, text } from "./rules.ts";

/** Throws `unsupported_media_type` unless the content type is JSON, which web pages cannot send without a preflight. */
export function checkContentType(headers: IncomingHttpHeaders): void {
  const type = headers["content-type"];
  if (type !== undefined && /^application\/(?:[\w.-]+\+)?json *(?:;|$)/i.test(type)) return;
  const found = type === undefined ? "none" : `"${type.slice(0, 80)}"`;
  throw new AssistantError("unsupported_media_type", `The content type must be application/json; found ${found}.`, {
    remedy: "Send the header `Content-Type: application/json`.",
  });
}

/** Maximum text length in which an error is located, which takes longer than parsing. */
const MAX_SEARCHED = 8 * 2 ** 20;

/**
 * The body as an object, and as bytes that every engine can parse: the client's own, unless they contain invalid
 * Unicode. Throws `empty_body`, `invalid_json` with the position, or `invalid_request`.
 */
export function parseBody(bytes: Buffer): InferenceCall["body"] {
  if (bytes.length === 0) throw new AssistantError("empty_body", "The request has no body; expected a JSON object.");
  const excess = findExcess(bytes);
  if (excess?.limit === "depth") throw tooDeepError(excess.field);
  if (excess !== null) throw tooManyError(excess.field);
  const { text, exact } = textOf(bytes);
  const value = parseText(text);
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    const found = Array.isArray(value) ? "an array" : JSON.stringify(value)?.slice(0, 40);
    throw new AssistantError("invalid_request", `The body must be a JSON object; found ${found}.`);
  }
  // Of a large body the depth was counted above. Walking it takes nearly as long as parsing it: 250 ms for 200,000 names.
  const deep = bytes.length < SMALL_BYTES ? tooDeep(value) : null;
  if (deep !== null) throw tooDeepError(deep.replace(/^\./, ""));
  const json = (mayHoldHalves(text) ? wellFormed(value) : value) as JsonObject;
  return json === value && exact ? { json, bytes } : bodyOf(json);
}

function parseText(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    if (text.length > MAX_SEARCHED) throw new AssistantError("invalid_json", "The body is not JSON.");
    const { offset, line, column } = jsonErrorPosition(text);
    const found =
      offset >= text.length ? "the body ends too early" : `found ${JSON.stringify(text.slice(offset, offset + 1))}`;
    throw new AssistantError(
      "invalid_json",
      `The body is not JSON: ${found} at line ${line}, column ${column} (position ${offset}).`,
    );
  }
}

const tooManyError = (field: string | null): AssistantError => {
  const where = field === null ? "The body" : `With "${field}", the body`;
  return new AssistantError(
    "invalid_json",
    `${where} has too many values: expected at most 1,000,000 numbers, 4,000,000 characters of white space, or ` +
      "250,000 lists, objects and names.",
    field === null ? {} : { param: field, remedy: "Send less at once." },
  );
};

const tooDeepError = (path: string | null): AssistantError => {
  const where = path === null ? "The body" : `"${path}"`;
  return new AssistantError(
    "invalid_json",
    `${where} has more than ${MAX_DEPTH} levels of nested objects and arrays.`,
    path === null ? {} : { param: path },
  );
};

/** Throws `empty_body` or `invalid_json`; `checked` throws `invalid_request` naming the first wrong field. */
export const decodeBody = (operation: Operation, bytes: Buffer): DecodedBody =>
  decodedBody(operation, parseBody(bytes));

/** The same for a body that is already parsed, or was translated. */
export function decodedBody(operation: Operation, given: InferenceCall["body"]): DecodedBody {
  const { body, capabilities } = withoutCapability(given);
  const { json } = body;
  return {
    model: modelOf(json),
    ...(capabilities === undefined ? {} : { capabilities }),
    body,
    checked: () => {
      const known = checkFields(operation, json);
      // Forwarded as written, if engines can parse that.
      return known === json ? { body, prompt: promptOf(operation, json) } : rewritten(operation, known);
    },
    prompt: promptOf(operation, json),
    streamed:
      operation === "speech" ? json["stream_format"] === "sse" : json["stream"] === true && operation !== "embedding",
    maxTokens: maxTokensOf(operation, json),
  };
}

/** `capability` is only for choosing the model, and is not forwarded. */
export function withoutCapability(body: InferenceCall["body"]): Pick<DecodedBody, "body" | "capabilities"> {
  if (body.json["capability"] === undefined) return { body };
  const { capability, ...json } = body.json;
  const capabilities = capabilitiesOf(capability, "capability");
  const without = body.form === undefined ? bodyOf(json) : { ...body, json };
  return capabilities === undefined ? { body: without } : { body: without, capabilities };
}

/** Throws `invalid_request` for a `model` that is not a string, which could not be looked up. */
export function modelOf({ model }: JsonObject): string {
  if (model === undefined || model === null) return "";
  if (typeof model === "string") return model;
  throw invalid("model", `The field "model" must be ${text.expected}; found ${shown(model)}.`);
}

const rewritten = (operation: Operation, json: JsonObject): Pick<DecodedBody, "body" | "prompt"> => ({
  body: bodyOf(json),
  prompt: promptOf(operation, json),
});

function promptOf(operation: Operation, json: JsonObject): DecodedBody["prompt"] {
  if (operation === "chat") return { messages: json["messages"], tools: json["tools"] };
  return { text: operation === "completion" ? json["prompt"] : json["input"] };
}

function maxTokensOf(operation: Operation, json: JsonObject): number | null {
  if (operation !== "chat" && operation !== "completion") return 0;
  const asked = json["n_predict"] ?? json["max_completion_tokens"] ?? json["max_tokens"];
  return typeof asked === "number" && asked >= 0 ? asked : null;
}
