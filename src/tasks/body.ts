import type { Static } from "typebox";
import { decimal, flag, integer, list, requiredText, text } from "../config/schema/kit.ts";
import { Type } from "../core/schema.ts";

const MAX_TOKENS = 128_000;
const MAX_PRIORITY = 100;
const MAX_URL_CHARACTERS = 2_000;
const MAX_FALLBACKS = 16;

/** Settings for calling a model, which have the same names everywhere. */
const sampling = {
  temperature: decimal("Randomness.", { minimum: 0, maximum: 2 }),
  max_tokens: integer("Most tokens of the answer.", { minimum: 1, maximum: MAX_TOKENS }),
  top_p: decimal("Cumulative probability of the tokens considered.", { minimum: 0, maximum: 1 }),
  top_k: integer("Number of the most likely tokens considered; 0: all.", { minimum: 0 }),
  frequency_penalty: decimal("Penalty by how often a token has come.", { minimum: -2, maximum: 2 }),
  presence_penalty: decimal("Penalty for a token that has come.", { minimum: -2, maximum: 2 }),
  stop_sequences: list(Type.String({ minLength: 1 }), "Strings that end the answer."),
  seed: integer("Seed of the randomness.", { minimum: 0 }),
};

const Message = Type.Object({
  role: Type.Enum(["system", "user", "assistant"], { required: true }),
  content: requiredText("Text.", { minLength: 1 }),
});

/** An object whose fields are checked elsewhere. */
const anyObject = (description: string) =>
  Type.Optional(Type.Unsafe<Readonly<Record<string, unknown>>>({ type: "object", description }));

/** The body of `POST /api/v1/tasks`. A field that is null counts as missing. */
export const TaskBody = Type.Object({
  model: text("Name or alias of the model.", { minLength: 1 }),
  prompt: text("The prompt, if there are no messages.", { minLength: 1 }),
  input_text: text("Follows the prompt after an empty line."),
  messages: list(Message, "A conversation, in the place of a prompt."),
  conversation_id: text("Conversation that the task belongs to.", {
    pattern: "^conv_[a-f0-9]+$",
    patternText: "an id such as conv_0123456789ab",
  }),
  save_to_conversation: flag("Whether prompt and answer become part of the conversation."),
  ...sampling,
  response_format: anyObject("As in OpenAI's API: `json_object` or `json_schema`."),
  output_schema: anyObject("JSON Schema of the answer; wins over `response_format`."),
  grammar: text("GBNF grammar for the answer.", { minLength: 1 }),
  repair: flag("Ask the model again if its answer does not match the schema."),
  stream: flag("No effect: the output of every task can be streamed."),
  webhook_url: text("Gets the result.", { minLength: 1, maxLength: MAX_URL_CHARACTERS }),
  idempotency_key: text("Requests with the same key create a single task.", {
    pattern: "^[^\\u0000]{1,255}$",
    patternText: "a text of 1 to 255 characters",
  }),
  priority: decimal("Higher first.", { minimum: 0, maximum: MAX_PRIORITY }),
  run_at: text("Earliest start, in RFC 3339 format.", {
    pattern: "^\\d{4}-\\d\\d-\\d\\d[Tt ]\\d\\d:\\d\\d(:\\d\\d(\\.\\d+)?)?([Zz]|[+-]\\d\\d:\\d\\d)$",
    patternText: "a time with its zone, such as 2026-01-31T18:00:00Z",
  }),
  max_attempts: integer("How often it is tried.", { minimum: 1, maximum: 100 }),
  fallback_models: list(Type.String({ minLength: 1 }), "Models to use if the first one cannot answer.", {
    maxItems: MAX_FALLBACKS,
  }),
  provider_config: Type.Optional(
    Type.Object({ model_name: text("Name or alias of the model.", { minLength: 1 }), ...sampling }),
  ),
  generation_params: Type.Optional(Type.Object(sampling)),
  extra_params: anyObject("Additional fields of the chat request, passed to the model's server."),
});
export type TaskBody = Static<typeof TaskBody>;
