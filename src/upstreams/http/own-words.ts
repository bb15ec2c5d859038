import { AssistantError } from "../../core/errors.ts";
import type { JsonObject, WireFormat } from "../../core/inference.ts";
import type { Provider } from "../../core/provider.ts";
import { SendFailure } from "../../core/upstream.ts";
import type { MemberEdits } from "../json-members.ts";

/** In order of precedence. */
const LIMITS = ["n_predict", "max_completion_tokens", "max_tokens"] as const;

/**
 * Fields that a provider names differently: the token limit, and llama.cpp's own fields. Fields without an equivalent,
 * which many servers would silently ignore, are rejected with `invalid_request`.
 */
export function ownWords(json: JsonObject, wire: WireFormat, provider: Provider): MemberEdits {
  if (provider.takesLlamaFields || (wire !== "openai.chat" && wire !== "openai.completion")) return {};
  return { ...limitEdits(json, wire, provider), ...structureEdits(json, wire, provider) };
}

function limitEdits(json: JsonObject, wire: WireFormat, { limitField }: Provider): MemberEdits {
  const counting = LIMITS.find((name) => isGiven(json[name]));
  if (counting === undefined) return {};
  // Text completions only have this one.
  const stated = wire === "openai.chat" ? limitField : limitField && "max_tokens";
  const wanted = stated ?? (counting === "n_predict" ? "max_tokens" : null);
  if (wanted === null) return {};
  const others = LIMITS.filter((name) => name !== counting).map((name) => [name, null] as const);
  // -1 is no limit.
  return { ...Object.fromEntries(others), [counting]: json[counting] === -1 ? null : { name: wanted } };
}

function structureEdits(json: JsonObject, wire: WireFormat, provider: Provider): MemberEdits {
  const { grammar = null, json_schema: schema = null, response_format: format = null } = json;
  if (grammar !== null && grammar !== "")
    throw refusal("grammar", provider, "Send a JSON Schema as `response_format`, or use a model that runs here.");
  if (schema === null) return { grammar: null, json_schema: null };
  if (wire !== "openai.chat") throw refusal("json_schema", provider, "Use /v1/chat/completions, or a local model.");
  if (typeof schema !== "object" || Array.isArray(schema))
    throw invalid("json_schema", 'The field "json_schema" must be a JSON Schema, an object.');
  if (format !== null && (format as JsonObject)["type"] !== "text")
    throw invalid("json_schema", 'The fields "response_format" and "json_schema" are both set; set one.');
  // llama.cpp guarantees that the answer follows the schema, and so does `strict`.
  const value = { type: "json_schema", json_schema: { name: "answer", strict: true, schema } };
  return { grammar: null, response_format: null, json_schema: { name: "response_format", value } };
}

const isGiven = (value: unknown): boolean => value !== null && value !== undefined;

const refusal = (field: string, { name }: Provider, remedy: string): SendFailure =>
  invalid(
    field,
    `The field "${field}" is specific to llama.cpp, and the provider "${name}" is not known to support it.`,
    `${remedy} If it is llama.cpp's server, set \`llama_cpp = true\` in its [[providers]] entry.`,
  );

const invalid = (param: string, message: string, remedy?: string): SendFailure =>
  new SendFailure(
    new AssistantError("invalid_request", message, { param, ...(remedy === undefined ? {} : { remedy }) }),
    "never",
  );
