import type { JsonSchema } from "../../../core/schema.ts";
import { bodySchema } from "../../canonical/body-schema.ts";
import { integer, orNull } from "../../canonical/rules.ts";
import type { RouteDescription } from "../../front/describe.ts";

const TEXT: JsonSchema = { type: "string" };
const FLAG: JsonSchema = { type: "boolean" };
const TOKEN = integer(0).schema;
const CONTENT: JsonSchema = { anyOf: [TEXT, { type: "array", items: { anyOf: [TEXT, TOKEN] } }] };
const MODEL = orNull(TEXT);
const ofModel: JsonSchema = { properties: { model: { type: "string", description: "Name or alias of the model." } } };
const json = (schema: JsonSchema) => ({ "application/json": schema });
const object = (properties: Readonly<Record<string, JsonSchema>>, required: readonly string[] = []): JsonSchema => ({
  type: "object",
  ...(required.length > 0 ? { required } : {}),
  properties,
});

/** The fields of OpenAI's completions with another prompt. */
function completion(own: Readonly<Record<string, JsonSchema>>, required: readonly string[]): JsonSchema {
  const {
    prompt: _,
    n: __,
    n_cmpl: ___,
    ...others
  } = bodySchema("completion")["properties"] as Record<string, JsonSchema>;
  return object({ ...others, ...own }, required);
}

const count: RouteDescription = {
  summary: "Count the tokens of a conversation",
  body: { ...bodySchema("chat"), title: "ChatRequest" },
  query: ofModel,
};
const generated = { "application/json": { type: "object" }, "text/event-stream": { type: "object" } };
const refused = (summary: string): RouteDescription => ({ summary: `Refused: ${summary}`, query: ofModel });

/** The routes by method and path. */
export const described = {
  "POST /tokenize": {
    summary: "Convert text to tokens",
    body: object({ model: MODEL, content: CONTENT, add_special: FLAG, parse_special: FLAG, with_pieces: FLAG }, [
      "content",
    ]),
    query: ofModel,
    answers: json(object({ tokens: { type: "array" } }, ["tokens"])),
  },
  "POST /detokenize": {
    summary: "Convert tokens to text",
    body: object({ model: MODEL, tokens: { type: "array", items: TOKEN } }, ["tokens"]),
    query: ofModel,
    answers: json(object({ content: TEXT }, ["content"])),
  },
  "POST /apply-template": {
    summary: "Show the prompt that a conversation becomes",
    body: { ...bodySchema("chat"), title: "ChatRequest" },
    query: ofModel,
    answers: json(object({ prompt: TEXT }, ["prompt"])),
  },
  "POST /v1/chat/completions/input_tokens": count,
  "POST /chat/completions/input_tokens": count,
  "POST /completion": {
    summary: "Continue a text, in llama-server's format",
    body: completion(
      {
        prompt: {
          anyOf: [
            TEXT,
            { type: "array", minItems: 1, items: TOKEN },
            object({ prompt_string: TEXT }, ["prompt_string"]),
          ],
        },
      },
      ["prompt"],
    ),
    query: ofModel,
    answers: generated,
  },
  "POST /infill": {
    summary: "Fill the gap between two texts",
    body: completion(
      {
        input_prefix: TEXT,
        input_suffix: TEXT,
        prompt: TEXT,
        input_extra: { type: "array", items: object({ text: TEXT, filename: TEXT }, ["text"]) },
      },
      ["input_prefix", "input_suffix"],
    ),
    query: ofModel,
    answers: generated,
  },
  "GET /props": { summary: "Show the properties of a model's engine", query: ofModel },
  "GET /lora-adapters": {
    summary: "List the adapters of a model",
    query: ofModel,
    answers: json({ type: "array", items: { type: "object" } }),
  },
  "GET /slots": {
    summary: "Show the slots of a model's instances",
    query: object({ model: TEXT, fail_on_no_slot: TEXT }),
    answers: json({ type: "array", items: { type: "object" } }),
  },
  "POST /props": refused("the properties of a running engine cannot be changed by requests"),
  "POST /lora-adapters": refused("adapters are a matter of each request, or of the model's file"),
  "POST /slots/:id": refused("slots are the daemon's own"),
} satisfies Readonly<Record<string, RouteDescription>>;

/** Of `errorBody`. */
export const errorSchema: JsonSchema = {
  title: "LlamaServerError",
  ...object(
    {
      error: object(
        { code: { type: "integer" }, message: TEXT, type: TEXT, param: TEXT, remedy: TEXT, request_id: TEXT },
        ["code", "message", "type"],
      ),
    },
    ["error"],
  ),
};
