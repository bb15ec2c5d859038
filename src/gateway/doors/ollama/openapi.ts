import type { JsonSchema } from "../../../core/schema.ts";
import { fieldTable } from "../../canonical/field-table.ts";
import { orNull } from "../../canonical/rules.ts";
import type { RouteDescription } from "../../front/describe.ts";
import { LINES } from "./answers.ts";
import { LOADING, SAMPLING } from "./options.ts";

const TEXT: JsonSchema = { type: "string" };
const FLAG: JsonSchema = { type: ["boolean", "null"] };
const IMAGES: JsonSchema = {
  type: ["array", "null"],
  items: { type: "string", description: "An image in base64.", examples: ["iVBORw0KGgo="] },
};
const ANSWER: JsonSchema = { type: "object" };
const NOTHING = {};
const WHOLE_OR_LINES = { "application/json": ANSWER, [LINES]: ANSWER };

const sampling = SAMPLING.map((name) => {
  const field = fieldTable[name]?.find(({ operations }) => operations.includes("chat"));
  return [name, field === undefined ? {} : orNull(field.schema)] as const;
});
const options: JsonSchema = {
  type: ["object", "null"],
  properties: {
    num_ctx: { type: ["integer", "null"], minimum: 1 },
    num_predict: { type: ["integer", "null"], minimum: -2 },
    ...Object.fromEntries(sampling),
    ...Object.fromEntries(LOADING.map((name) => [name, { description: "No effect: set in the model's file." }])),
  },
};
const common = {
  model: TEXT,
  stream: FLAG,
  format: { anyOf: [{ enum: ["", "json", null] }, { type: "object", description: "A JSON Schema." }] },
  options,
  keep_alive: { type: ["string", "number", "null"], examples: ["5m", 0, -1] },
  think: { enum: [true, false, "low", "medium", "high", "max", null] },
  logprobs: FLAG,
  top_logprobs: { type: ["integer", "null"], minimum: 0, maximum: 20 },
};
const calls: JsonSchema = {
  type: ["array", "null"],
  items: {
    type: "object",
    required: ["function"],
    properties: {
      id: TEXT,
      function: { type: "object", required: ["name"], properties: { name: TEXT, arguments: { type: "object" } } },
    },
  },
};
const message: JsonSchema = {
  type: "object",
  required: ["role"],
  properties: {
    role: { enum: ["system", "user", "assistant", "tool"] },
    content: TEXT,
    images: IMAGES,
    thinking: TEXT,
    tool_calls: calls,
    tool_name: TEXT,
    tool_call_id: TEXT,
  },
};
const body = (title: string, properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  title,
  type: "object",
  properties,
});

/** The name is `model`, in older clients `name`. */
const named = (properties: Readonly<Record<string, JsonSchema>>): JsonSchema => ({
  type: "object",
  properties: { model: TEXT, name: TEXT, ...properties },
});

/** The routes by method and path. */
export const described = {
  "POST /api/chat": {
    summary: "Answer a conversation, in Ollama's format",
    body: body("OllamaChatRequest", {
      ...common,
      messages: { type: "array", items: message },
      tools: orNull(fieldTable["tools"]?.[0]?.schema ?? {}),
    }),
    answers: WHOLE_OR_LINES,
  },
  "POST /api/generate": {
    summary: "Answer a prompt, in Ollama's format",
    body: body("OllamaGenerateRequest", {
      ...common,
      prompt: TEXT,
      suffix: TEXT,
      system: TEXT,
      raw: FLAG,
      images: IMAGES,
    }),
    answers: WHOLE_OR_LINES,
  },
  "POST /api/embed": {
    summary: "Convert texts to vectors, in Ollama's format",
    body: body("OllamaEmbedRequest", {
      model: TEXT,
      input: { anyOf: [TEXT, { type: "array", items: TEXT }] },
      dimensions: { type: ["integer", "null"], minimum: 0 },
      truncate: FLAG,
      options,
      keep_alive: common.keep_alive,
    }),
  },
  "POST /api/embeddings": {
    summary: "Convert a text to a vector, in Ollama's older format",
    body: body("OllamaEmbeddingsRequest", { model: TEXT, prompt: TEXT, options, keep_alive: common.keep_alive }),
  },
  "GET /api/version": { summary: "Show the version of Ollama's API" },
  "GET /api/tags": { summary: "List the models, in Ollama's format" },
  "GET /api/ps": { summary: "List the models that are loaded, in Ollama's format" },
  "POST /api/show": { summary: "Show a model, in Ollama's format", body: named({ verbose: FLAG }) },
  "POST /api/push": { summary: "Refused: pushing models is not supported", body: named({}) },
  "POST /api/pull": { summary: "Download a model", body: named({ stream: FLAG }), answers: WHOLE_OR_LINES },
  "POST /api/create": {
    summary: "Create a model from another one, or from an uploaded file",
    body: named({
      from: TEXT,
      files: { type: "object", additionalProperties: TEXT, description: "Digest of the file by its name." },
      parameters: options,
      stream: FLAG,
    }),
    answers: WHOLE_OR_LINES,
  },
  "POST /api/copy": {
    summary: "Give a model's settings another name",
    body: { type: "object", required: ["source", "destination"], properties: { source: TEXT, destination: TEXT } },
    answers: NOTHING,
  },
  "DELETE /api/delete": { summary: "Delete a model", body: named({}), answers: NOTHING },
  "POST /api/blobs/:digest": {
    summary: "Upload a file",
    body: { type: "string", format: "binary" },
    bodyType: "application/octet-stream",
    status: 201,
    answers: NOTHING,
  },
} satisfies Readonly<Record<string, RouteDescription>>;

/** Of `errorBody`. */
export const errorSchema: JsonSchema = {
  title: "OllamaError",
  type: "object",
  required: ["error"],
  properties: { error: TEXT },
};
