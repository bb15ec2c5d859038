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
  required: ["type"],
  properties: {
    type: { enum: ["function", "custom", "namespace", "web_search", "web_search_preview", "image_generation"] },
    name: { type: "string", minLength: 1 },
    parameters: { type: "object" },
  },
};

const response: JsonSchema = { title: "Response", type: "object" };
const id: JsonSchema = { type: "string", pattern: "^resp_[0-9a-f]{32}$" };
const count: JsonSchema = { type: "string", pattern: "^\\d{1,9}$" };
const answers = { "application/json": response, "text/event-stream": { type: "object" } };
const create: RouteDescription = {
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
  answers,
};
const params: JsonSchema = { type: "object", required: ["id"], properties: { id } };

/** Routes of the Responses API. */
export const described = {
  create,
  get: {
    summary: "Show a stored response, or replay its stream",
    params,
    query: { type: "object", properties: { stream: { enum: ["true", "false"] }, starting_after: count } },
    answers,
  },
  inputItems: {
    summary: "List the input items of a stored response",
    params,
    query: {
      type: "object",
      properties: { after: { type: "string" }, limit: count, order: { enum: ["asc", "desc"] } },
    },
    answers: { "application/json": { type: "object" } },
  },
  cancel: {
    summary: "Cancel a background response",
    params,
    answers: { "application/json": response },
  },
  delete: { summary: "Delete a stored response", params, answers: { "application/json": { type: "object" } } },
} as const satisfies Readonly<Record<string, RouteDescription>>;
