import type { JsonSchema } from "../../../core/schema.ts";
import { modelOf, parseBody, withoutCapability } from "../../canonical/decode.ts";
import { invalid, isString, orNull, text } from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";

const TEXT: JsonSchema = { type: "string" };
const part: JsonSchema = {
  type: "object",
  required: ["type"],
  properties: {
    type: { enum: ["text", "image_url"] },
    text: TEXT,
    image_url: { type: "object", required: ["url"], properties: { url: TEXT } },
  },
};

export const moderationBody: JsonSchema = {
  title: "ModerationRequest",
  type: "object",
  required: ["input"],
  properties: {
    model: orNull(text.schema),
    input: { anyOf: [TEXT, { type: "array", items: { anyOf: [TEXT, part] } }] },
  },
};

export const moderationAnswer: JsonSchema = {
  title: "ModerationAnswer",
  type: "object",
  required: ["id", "model", "results"],
  properties: {
    id: TEXT,
    model: TEXT,
    results: {
      type: "array",
      items: {
        type: "object",
        required: ["categories", "category_scores"],
        properties: {
          flagged: { type: "boolean" },
          categories: { type: "object" },
          category_scores: { type: "object" },
        },
      },
    },
  },
};

/**
 * `POST /v1/moderations`. Inputs other than text are validated by the model's provider. Throws `empty_body`,
 * `invalid_json`, `invalid_request`.
 */
export function decodeModeration(bytes: Buffer): DecodedBody {
  const asked = withoutCapability(parseBody(bytes));
  const { input } = asked.body.json;
  if (!isString(input) && !Array.isArray(input))
    throw invalid("input", 'The field "input" must be a string, or an array of strings or of parts.');
  return { ...asked, model: modelOf(asked.body.json), prompt: {}, streamed: false, maxTokens: 0 };
}
