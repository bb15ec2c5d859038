import type { AnswerSink, JsonObject } from "../../../core/inference.ts";
import { parseBody } from "../../canonical/decode.ts";
import { boolean, integer, invalid, mustBe, shown } from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";
import { translatedSink } from "../../front/translated-sink.ts";
import { chatShape, generateShape, opening, TextAnswer } from "./answers.ts";
import { canonical, flagOf, isGiven, refuse, schemaOf, textOf } from "./fields.ts";
import { chatMessages, contentOf } from "./messages.ts";
import { findModel } from "./names.ts";
import { optionFields } from "./options.ts";
import type { OllamaOptions } from "./ports.ts";
import { keepAliveOf, keptAnswer, residencyAnswer } from "./residency.ts";
import { thinkingFields } from "./thinking.ts";

/** Fields without an equivalent here. */
const DEBUGGING = "_debug_render_only";

/** `/api/chat`. Throws `invalid_request` naming the first wrong field. */
export function decodeChat(bytes: Buffer, options: OllamaOptions): DecodedBody {
  const { json } = parseBody(bytes);
  const { messages = [] } = json;
  if (!Array.isArray(messages)) throw invalid("messages", `"messages" must be a list; found ${shown(messages)}.`);
  if (messages.length === 0) refuseUnknown(json, "messages");
  return decodeText(json, options, {
    isEmpty: messages.length === 0,
    shape: chatShape,
    operation: "chat",
    prompt: () => ({ messages: chatMessages(messages), ...(isGiven(json["tools"]) ? { tools: json["tools"] } : {}) }),
  });
}

/** `/api/generate`: a chat of one message, or with `raw` a text to continue. Throws like `decodeChat`. */
export function decodeGenerate(bytes: Buffer, options: OllamaOptions): DecodedBody {
  const { json } = parseBody(bytes);
  const prompt = textOf(json, "prompt");
  const isRaw = flagOf(json, "raw", false);
  const suffix = textOf(json, "suffix");
  refuse(
    json,
    "template",
    "Set `prompt_template` in the model's file, or send `raw` with a prompt in your own template.",
  );
  refuse(json, "context", "Send the conversation to /api/chat; this server returns no `context`.");
  refuse(
    json,
    "images",
    "Leave `raw` out: images have a place in the model's template alone.",
    isRaw && isGiven(json["images"]),
  );
  refuse(json, "system", "Leave `raw` out, or write it into the prompt.", isRaw && textOf(json, "system") !== "");
  for (const name of ["width", "height", "steps"])
    refuse(json, name, "This route only generates text; POST /v1/images/generations generates images.");
  if (prompt === "") refuseUnknown(json, "prompt");
  const isText = isRaw || suffix !== "";
  return decodeText(json, options, {
    isEmpty: prompt === "",
    shape: generateShape,
    operation: isText ? "completion" : "chat",
    prompt: () =>
      isText ? { prompt, ...(suffix === "" ? {} : { suffix }) } : { messages: generateMessages(json, prompt) },
  });
}

const KNOWN: ReadonlySet<string> = new Set([
  ...["model", "messages", "prompt", "suffix", "system", "images", "tools", "format", "raw", "template", "context"],
  ...["stream", "options", "keep_alive", "think", "logprobs", "top_logprobs", "truncate", "shift", DEBUGGING],
  ...["width", "height", "steps"],
]);

/**
 * Without messages or prompt, a request loads its model and is answered with nothing: if it has an unknown field, that
 * is where they are. Throws `invalid_request`.
 */
function refuseUnknown(json: JsonObject, missing: string): void {
  const unknown = Object.keys(json).find((name) => !KNOWN.has(name));
  if (unknown !== undefined)
    throw invalid(unknown, `The field "${unknown}" is unknown, and the request has no "${missing}".`);
}

function generateMessages(json: JsonObject, prompt: string): readonly unknown[] {
  const system = textOf(json, "system");
  const user = { role: "user", content: contentOf(prompt, json["images"], "") };
  return system === "" ? [user] : [{ role: "system", content: system }, user];
}

interface TextRequest {
  /** Without a prompt, the model is only loaded or unloaded. */
  readonly isEmpty: boolean;
  readonly shape: typeof chatShape;
  readonly operation: "chat" | "completion";
  readonly prompt: () => JsonObject;
}

function decodeText(json: JsonObject, options: OllamaOptions, request: TextRequest): DecodedBody {
  const { operation, shape, isEmpty } = request;
  const written = textOf(json, "model");
  const model = findModel(options.directory, written);
  const streamed = flagOf(json, "stream", true);
  const keepAliveMs = keepAliveOf(json);
  refuse(json, DEBUGGING, "POST /apply-template shows a rendered prompt.");
  flagOf(json, "truncate", true);
  flagOf(json, "shift", true);
  const fields = {
    ...optionFields(json, model, operation),
    model: model?.name ?? written,
    ...(isEmpty ? { messages: [{ role: "user", content: "" }], prompt: "" } : request.prompt()),
    ...(streamed ? { stream: true, stream_options: { include_usage: true } } : {}),
    ...formatFields(schemaOf(json), json["format"], operation),
    ...(operation === "chat" ? thinkingFields(json, model) : {}),
    ...logprobFields(json, operation),
  };
  const wire = operation === "chat" ? "openai.chat" : "openai.completion";
  const decoded = { ...canonical(operation, fields), operation, wire } as const;
  const name = written === "" ? decoded.model : written;
  const translate = (client: AnswerSink): AnswerSink => translatedSink(client, streamed, new TextAnswer(name, shape));
  if (isEmpty) {
    const body = (reason: string): JsonObject => ({
      ...opening(name),
      ...shape({ content: "", thinking: "", calls: [] }),
      done: true,
      done_reason: reason,
    });
    return { ...decoded, answer: residencyAnswer(options, keepAliveMs, body) };
  }
  if (keepAliveMs === null) return { ...decoded, translate };
  const { inference } = options;
  const answer = keptAnswer(options, keepAliveMs, (call, client) => inference.run(call, translate(client)));
  return { ...decoded, answer };
}

function formatFields(schema: JsonObject | null, format: unknown, operation: "chat" | "completion"): JsonObject {
  if (schema === null) return {};
  if (operation === "completion") return { json_schema: schema };
  return {
    response_format:
      format === "json" ? { type: "json_object" } : { type: "json_schema", json_schema: { name: "format", schema } },
  };
}

function logprobFields({ logprobs, top_logprobs: top }: JsonObject, operation: "chat" | "completion"): JsonObject {
  if (isGiven(logprobs)) mustBe(boolean, logprobs, "logprobs");
  if (isGiven(top)) mustBe(integer(0, 20), top, "top_logprobs");
  if (logprobs !== true) return {};
  const count = isGiven(top) ? (top as number) : 0;
  return operation === "completion" ? { logprobs: count } : { logprobs: true, top_logprobs: count };
}
