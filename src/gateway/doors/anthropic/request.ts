import { hash } from "node:crypto";
import type { JsonObject } from "../../../core/inference.ts";
import {
  type Body,
  boolean,
  integer,
  invalid,
  isObject,
  isString,
  mustBe,
  object,
  oneOf,
  shown,
  text,
  texts,
} from "../../canonical/rules.ts";
import { unsupported } from "./errors.ts";
import { Conversation } from "./messages.ts";
import { toolChoiceOf, toolsOf } from "./tools.ts";

/** A request of the Messages API in OpenAI's format. */
export interface Translated {
  readonly json: JsonObject;
  /** Paths in `json`, and the client's own fields. */
  readonly names: ReadonlyMap<string, string>;
  /** Where the client has documents other than text. */
  readonly files: readonly string[];
  readonly stops: readonly string[];
  /** The client does not want to see the thinking. */
  readonly hidesThinking: boolean;
}

/**
 * Fields that are handled here, or have no effect: hints about price, location and Anthropic's own caches. Others are
 * passed to the engine.
 */
const OWN: ReadonlySet<string> = new Set([
  ...["model", "messages", "system", "max_tokens", "stream", "stop_sequences", "temperature", "top_p", "top_k"],
  ...["tools", "tool_choice", "thinking", "output_config", "output_format", "metadata", "container", "mcp_servers"],
  ...["cache_control", "context_management", "diagnostics", "inference_geo", "service_tier", "speed"],
  ...["user_profile_id", "workspace_id", "betas", "fallbacks"],
]);

/** Fields with another name or location. */
const NAMES: readonly (readonly [canonical: string, own: string])[] = [
  ["stop", "stop_sequences"],
  ["user", "metadata.user_id"],
  ["reasoning_effort", "output_config.effort"],
  ["reasoning_budget_tokens", "thinking.budget_tokens"],
  ["thinking_budget_tokens", "thinking.budget_tokens"],
  ["parallel_tool_calls", "tool_choice.disable_parallel_tool_use"],
];

const stopTexts = texts(128, 1000);

/** Throws `invalid_request` naming the first field that is wrong, or not supported by any target. */
export function translate(body: JsonObject): Translated {
  const given = body as Body;
  for (const name of ["container", "mcp_servers"]) refuseServers(given, name);
  const conversation = new Conversation(given.system, given.messages);
  const names = new Map([...conversation.names, ...NAMES]);
  const stops = given.stop_sequences ?? [];
  mustBe(stopTexts, stops, "stop_sequences");
  const tools = given.tools === undefined || given.tools === null ? [] : toolsOf(given.tools);
  for (const index of tools.keys()) {
    names.set(`tools[${index}].function`, `tools[${index}]`);
    names.set(`tools[${index}].function.parameters`, `tools[${index}].input_schema`);
  }
  const json: JsonObject = {
    ...Object.fromEntries(Object.entries(body).filter(([name]) => !OWN.has(name))),
    ...copied(body, ["model", "max_tokens", "temperature", "top_p", "top_k"]),
    messages: conversation.messages,
    ...streaming(given.stream),
    ...((stops as string[]).length > 0 ? { stop: stops } : {}),
    ...(tools.length > 0 ? { tools } : {}),
    ...(given.tool_choice === undefined || given.tool_choice === null ? {} : toolChoiceOf(given.tool_choice)),
    ...structureOf(given, names),
    ...reasoningOf(given),
    ...userOf(given.metadata),
  };
  return {
    json,
    names,
    files: conversation.files,
    stops: stops as string[],
    hidesThinking: isObject(given.thinking) && given.thinking.display === "omitted",
  };
}

/** Checks what is required for an answer but not for counting. */
export function requireLimit({ max_tokens: most }: JsonObject): void {
  if (most === undefined || most === null)
    throw invalid("max_tokens", 'The field "max_tokens" is missing: expected the most tokens of the answer.');
  mustBe(integer(1), most, "max_tokens");
}

const copied = (body: JsonObject, names: readonly string[]): JsonObject =>
  Object.fromEntries(
    names.filter((name) => body[name] !== undefined && body[name] !== null).map((name) => [name, body[name]]),
  );

function streaming(stream: unknown): JsonObject {
  if (stream === undefined || stream === null) return {};
  mustBe(boolean, stream, "stream");
  return stream === true ? { stream, stream_options: { include_usage: true } } : { stream };
}

function refuseServers(body: Body, name: string): void {
  const value = body[name];
  if (value === undefined || value === null || (Array.isArray(value) && value.length === 0)) return;
  throw unsupported(
    name,
    `The field "${name}" requires a feature of Anthropic's servers, which is not available.`,
    "Leave it out.",
  );
}

const effort = oneOf("none", "minimal", "low", "medium", "high", "xhigh", "max");

/** `output_config.format`, and the older `output_format`. */
function structureOf({ output_config: config, output_format: older }: Body, names: Map<string, string>): JsonObject {
  if (config !== undefined && config !== null) mustBe(object, config, "output_config");
  const current = isObject(config) ? (config.format ?? null) : null;
  const [at, format] = current === null ? ["output_format", older ?? null] : ["output_config.format", current];
  if (format === null) return {};
  mustBe(object, format, at);
  const { type, schema } = format as Body;
  mustBe(oneOf("json_schema"), type, `${at}.type`);
  mustBe(object, schema, `${at}.schema`);
  names.set("response_format", at);
  names.set("response_format.json_schema.schema", `${at}.schema`);
  return { response_format: { type: "json_schema", json_schema: { name: "answer", schema, strict: true } } };
}

const thinkingType = oneOf("enabled", "disabled", "adaptive", "between_tools");

/** A budget takes precedence over an effort. */
function reasoningOf({ thinking, output_config: config }: Body): JsonObject {
  const level = isObject(config) ? (config.effort ?? null) : null;
  if (level !== null) mustBe(effort, level, "output_config.effort");
  const asked = level === null ? {} : { reasoning_effort: level };
  if (thinking === undefined || thinking === null) return asked;
  mustBe(object, thinking, "thinking");
  const { type, budget_tokens: budget } = thinking as Body;
  mustBe(thinkingType, type, "thinking.type");
  if (type === "disabled") return { reasoning_effort: "none" };
  if (type !== "enabled") return asked;
  mustBe(integer(1), budget, "thinking.budget_tokens");
  return { thinking_budget_tokens: budget };
}

/** Maximum length of OpenAI's `user`. Claude Code sends more, as JSON. */
const MAX_USER = 64;

function userOf(metadata: unknown): JsonObject {
  if (metadata === undefined || metadata === null) return {};
  mustBe(object, metadata, "metadata");
  const { user_id: user } = metadata as Body;
  if (user === undefined || user === null) return {};
  mustBe(text, user, "metadata.user_id");
  const id = user as string;
  return { user: id.length > MAX_USER ? hash("sha256", id, "hex") : id };
}

export const VERSION_HEADER = "anthropic-version";

/** Throws `invalid_request` for an invalid version. Clients without one get the only version there is. */
export function checkVersion(headers: Readonly<Record<string, unknown>>): void {
  const version = headers[VERSION_HEADER];
  if (version === undefined || (isString(version) && /^\d{4}-\d{2}-\d{2}$/.test(version))) return;
  throw invalid(
    VERSION_HEADER,
    `The header ${VERSION_HEADER} must be a date such as 2023-06-01; found ${shown(version)}.`,
  );
}
