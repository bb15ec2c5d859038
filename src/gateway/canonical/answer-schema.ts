import { type JsonSchema, Type } from "../../core/schema.ts";

const Nullable = (schema: object): JsonSchema => ({ anyOf: [schema, { type: "null" }] });
const object = (properties: Readonly<Record<string, object>>): JsonSchema =>
  Type.Object(properties as never) as unknown as JsonSchema;
const titled = (title: string, properties: Readonly<Record<string, object>>): JsonSchema => ({
  title,
  ...object(properties),
});
const optional = (schema: object): object => Type.Optional(schema as never);
const text = Type.String();
const count = Type.Integer();

const usage = optional({
  type: "object",
  properties: { prompt_tokens: count, completion_tokens: count, total_tokens: count },
});
const toolCalls = optional(
  Nullable({
    type: "array",
    items: {
      type: "object",
      properties: {
        index: count,
        id: text,
        type: { const: "function" },
        function: { type: "object", properties: { name: text, arguments: text } },
      },
    },
  }),
);
const said = {
  content: optional(Nullable(text)),
  reasoning_content: optional(Nullable(text)),
  tool_calls: toolCalls,
};
const finish = Nullable({ enum: ["stop", "length", "tool_calls", "content_filter"] });
const logprobs = optional(Nullable({ type: "object" }));
const head = { id: text, created: count, model: text };

/** Successful answers in OpenAI's format and in those of reranking servers, as returned by engines and providers. */
export const chatAnswer = titled("ChatCompletion", {
  ...head,
  object: { const: "chat.completion" },
  choices: {
    type: "array",
    items: object({
      index: count,
      message: object({ role: { const: "assistant" }, ...said }),
      finish_reason: finish,
      logprobs,
    }),
  },
  usage,
});

export const chatChunk = titled("ChatCompletionChunk", {
  ...head,
  object: { const: "chat.completion.chunk" },
  choices: {
    type: "array",
    items: object({
      index: count,
      delta: { type: "object", properties: { role: text, ...said } },
      finish_reason: optional(finish),
      logprobs,
    }),
  },
  usage: optional(Nullable({ type: "object" })),
});

export const completionAnswer = titled("Completion", {
  ...head,
  object: { const: "text_completion" },
  choices: { type: "array", items: object({ index: count, text, finish_reason: optional(finish), logprobs }) },
  usage,
});

export const embeddingAnswer = titled("EmbeddingList", {
  object: { const: "list" },
  model: text,
  data: {
    type: "array",
    items: object({
      object: { const: "embedding" },
      index: count,
      embedding: {
        anyOf: [
          { type: "array", items: { type: "number" } },
          { type: "string", description: "base64" },
        ],
      },
    }),
  },
  usage,
});

export const transcriptAnswer = titled("Transcript", { text });

export const rerankAnswer = titled("Ranking", {
  model: text,
  results: {
    type: "array",
    items: object({ index: count, relevance_score: Type.Number(), document: optional({ type: "object" }) }),
  },
  usage,
});

export const scoreAnswer = titled("Scores", {
  model: text,
  data: { type: "array", items: object({ index: count, object: { const: "score" }, score: Type.Number() }) },
  usage,
});

/** A JSON answer, or a stream of events with one such chunk each, ended by `data: [DONE]`. */
export const wholeOrStream = (whole: JsonSchema, chunk: JsonSchema): Readonly<Record<string, JsonSchema>> => ({
  "application/json": whole,
  "text/event-stream": chunk,
});
