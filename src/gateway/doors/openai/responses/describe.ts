import type { JsonSchema } from "../../../../core/schema.ts";
import { orNull } from "../../../canonical/rules.ts";
import type { RouteDescription } from "../../../front/describe.ts";
import { rules } from "./fields.ts";

const item: JsonSchema = {
  type: "object",
  required: ["role", "content"],
  properties: {
    role: { enum: ["user", "system", "developer", "assistant"] },
    content: { anyOf: [{ type: "string" }, { type: "array", items: { type: "object" } }] },
  },
};
const tool: JsonSchema = {
  type: "object",
  required: ["type", "name"],
  properties: { type: { const: "function" }, name: { type: "string", minLength: 1 }, parameters: { type: "object" } },
};

/** `POST /v1/responses`. */
export const RESPONSES: RouteDescription = {
  summary: "Answer, in OpenAI's Responses format",
  body: {
    title: "ResponseRequest",
    type: "object",
    properties: {
      model: { type: ["string", "null"] },
      input: { anyOf: [{ type: "string" }, { type: "array", items: { anyOf: [item, { type: "object" }] } }] },
      tools: { type: ["array", "null"], items: tool },
      tool_choice: { anyOf: [{ enum: ["none", "auto", "required", null] }, { type: "object" }] },
      ...Object.fromEntries(Object.entries(rules).map(([name, { schema }]) => [name, orNull(schema)])),
    },
  },
  answers: { "application/json": { type: "object" }, "text/event-stream": { type: "object" } },
};
