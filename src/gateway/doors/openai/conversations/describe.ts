import type { JsonSchema } from "../../../../core/schema.ts";
import type { RouteDescription } from "../../../front/describe.ts";
import { metadata } from "../responses/fields.ts";

const conversation: JsonSchema = {
  title: "OpenAIConversation",
  type: "object",
  required: ["id", "object", "created_at", "metadata"],
  properties: {
    id: { type: "string", pattern: "^conv_[0-9a-f]{12}$" },
    object: { const: "conversation" },
    created_at: { type: "integer" },
    metadata: { type: "object" },
  },
};
const answers = { "application/json": conversation };
const id: JsonSchema = { type: "string", pattern: "^conv_[0-9a-f]{12}$" };
const params: JsonSchema = { type: "object", required: ["id"], properties: { id } };
const itemParams: JsonSchema = {
  type: "object",
  required: ["id", "item"],
  properties: { id, item: { type: "string" } },
};
const items: JsonSchema = { type: "array", maxItems: 20, items: { type: "object" } };
const list = { "application/json": { type: "object" } };

/** Routes of the Conversations API. */
export const described = {
  create: {
    summary: "Begin a conversation",
    body: { type: "object", properties: { items, metadata: metadata.schema } },
    bodyOptional: true,
    answers,
  },
  show: { summary: "Show a conversation", params, answers },
  update: {
    summary: "Replace a conversation's metadata",
    params,
    body: { type: "object", properties: { metadata: metadata.schema } },
    answers,
  },
  delete: { summary: "Delete a conversation", params, answers: list },
  items: {
    summary: "List the items of a conversation",
    params,
    query: {
      type: "object",
      properties: {
        after: { type: "string" },
        limit: { type: "string", pattern: "^\\d{1,3}$" },
        order: { enum: ["asc", "desc"] },
      },
    },
    answers: list,
  },
  add: {
    summary: "Add items to a conversation",
    params,
    body: { type: "object", required: ["items"], properties: { items } },
    answers: list,
  },
  item: { summary: "Show an item of a conversation", params: itemParams, answers: list },
  deleteItem: { summary: "Delete an item of a conversation", params: itemParams, answers },
} as const satisfies Readonly<Record<string, RouteDescription>>;
