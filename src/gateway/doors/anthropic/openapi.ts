import type { JsonSchema } from "../../../core/schema.ts";
import type { RouteDescription } from "../../front/describe.ts";

const TEXT: JsonSchema = { type: "string" };
const OBJECT: JsonSchema = { type: "object" };
const FLAG: JsonSchema = { type: ["boolean", "null"] };

const object = (properties: Readonly<Record<string, JsonSchema>>, required: readonly string[] = []): JsonSchema => ({
  type: "object",
  ...(required.length > 0 ? { required } : {}),
  properties,
});
const orMissing = (schema: JsonSchema): JsonSchema => ({ anyOf: [schema, { type: "null" }] });

const textBlock = object({ type: { const: "text" }, text: TEXT }, ["type", "text"]);
const source = {
  anyOf: [object({ type: { const: "base64" }, media_type: TEXT, data: TEXT }, ["type", "media_type", "data"])],
};
const image = object({ type: { const: "image" }, source }, ["type", "source"]);
const toolUse = object({ type: { const: "tool_use" }, id: TEXT, name: TEXT, input: OBJECT }, [
  "type",
  "id",
  "name",
  "input",
]);
const thinking = object({ type: { const: "thinking" }, thinking: TEXT, signature: TEXT }, ["type", "thinking"]);
const contentOf = (...blocks: readonly JsonSchema[]): JsonSchema => ({
  anyOf: [TEXT, { type: "array", items: { anyOf: blocks } }],
});
const toolResult = object(
  { type: { const: "tool_result" }, tool_use_id: TEXT, content: contentOf(textBlock, image), is_error: FLAG },
  ["type", "tool_use_id"],
);

const message = {
  anyOf: [
    object({ role: { const: "user" }, content: contentOf(textBlock, image, toolResult) }, ["role", "content"]),
    object({ role: { const: "assistant" }, content: contentOf(textBlock, thinking, toolUse) }, ["role", "content"]),
    object({ role: { const: "system" }, content: contentOf(textBlock) }, ["role", "content"]),
  ],
};

const tool = object(
  { name: { type: "string", minLength: 1, maxLength: 256 }, description: TEXT, input_schema: OBJECT },
  ["name", "input_schema"],
);

const prompt = {
  model: TEXT,
  messages: { type: "array", minItems: 1, items: message },
  system: orMissing(contentOf(textBlock)),
  tools: orMissing({ type: "array", items: tool }),
  tool_choice: orMissing(
    object({ type: { enum: ["auto", "any", "tool", "none"] }, name: TEXT, disable_parallel_tool_use: FLAG }, ["type"]),
  ),
  thinking: orMissing(
    object({ type: { enum: ["enabled", "disabled", "adaptive"] }, budget_tokens: { type: "integer", minimum: 1 } }, [
      "type",
    ]),
  ),
  output_config: orMissing(
    object({
      effort: { enum: ["low", "medium", "high", "xhigh", "max", null] },
      format: orMissing(object({ type: { const: "json_schema" }, schema: OBJECT }, ["type", "schema"])),
    }),
  ),
} satisfies Readonly<Record<string, JsonSchema>>;

const usage = object({ input_tokens: { type: "integer" }, output_tokens: { type: "integer" } });
const answer = object({ id: TEXT, type: { const: "message" }, role: TEXT, content: { type: "array" }, usage });

/** The routes by method and path. */
export const described: Readonly<Record<string, RouteDescription>> = {
  "POST /v1/messages": {
    summary: "Answer a conversation, in Anthropic's format",
    body: {
      ...object(
        {
          ...prompt,
          max_tokens: { type: "integer", minimum: 1 },
          stream: FLAG,
          stop_sequences: orMissing({ type: "array", items: { type: "string", minLength: 1, maxLength: 1000 } }),
          temperature: orMissing({ type: "number", minimum: 0, maximum: 2 }),
          top_p: orMissing({ type: "number", minimum: 0, maximum: 1 }),
          top_k: orMissing({ type: "integer", minimum: 0 }),
          metadata: orMissing(object({ user_id: { type: ["string", "null"] } })),
        },
        ["messages", "max_tokens"],
      ),
      title: "AnthropicMessageRequest",
    },
    answers: { "application/json": answer, "text/event-stream": OBJECT },
  },
  "POST /v1/messages/count_tokens": {
    summary: "Count the tokens of a conversation, in Anthropic's format",
    body: { ...object(prompt, ["messages"]), title: "AnthropicCountRequest" },
    answers: { "application/json": object({ input_tokens: { type: "integer" } }, ["input_tokens"]) },
  },
};

export const errorSchema: JsonSchema = {
  title: "AnthropicError",
  ...object(
    { type: { const: "error" }, error: object({ type: TEXT, message: TEXT }, ["type", "message"]), request_id: TEXT },
    ["type", "error", "request_id"],
  ),
};
