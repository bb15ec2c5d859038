import type { JsonObject } from "../../../core/inference.ts";
import type { JsonSchema } from "../../../core/schema.ts";
import { modelOf, parseBody, withoutCapability } from "../../canonical/decode.ts";
import {
  type Body,
  boolean,
  type DescribedRule,
  integer,
  invalid,
  isObject,
  isString,
  mustBe,
  orNull,
  type Rule,
  shown,
  text,
} from "../../canonical/rules.ts";
import type { DecodedBody } from "../../front/door.ts";

/** Each is evaluated together with the query, so a request is as much work as this many prompts. */
export const MAX_DOCUMENTS = 2048;

const isText = (value: unknown): value is string => isString(value) && value !== "";
const isTextObject = (value: unknown): value is Body => isObject(value) && isText(value["text"]);

const TEXT = { type: "string", minLength: 1 };
const query: DescribedRule = { passes: isText, expected: "a non-empty string", schema: TEXT };
const textList: DescribedRule = {
  passes: (value) =>
    isText(value) || (Array.isArray(value) && value.length > 0 && value.length <= MAX_DOCUMENTS && value.every(isText)),
  expected: `a string, or an array of 1 to ${MAX_DOCUMENTS} strings, none of them empty`,
  schema: { anyOf: [TEXT, { type: "array", minItems: 1, maxItems: MAX_DOCUMENTS, items: TEXT }] },
};

export const rerankBody: JsonSchema = {
  title: "RerankRequest",
  type: "object",
  required: ["query", "documents"],
  properties: {
    model: orNull(text.schema),
    query: query.schema,
    documents: {
      type: "array",
      minItems: 1,
      maxItems: MAX_DOCUMENTS,
      items: { anyOf: [TEXT, { type: "object", required: ["text"], properties: { text: TEXT } }] },
    },
    top_n: orNull(integer(1).schema),
    return_documents: orNull(boolean.schema),
    user: orNull(text.schema),
  },
};

export const scoreBody: JsonSchema = {
  title: "ScoreRequest",
  type: "object",
  required: ["text_1", "text_2"],
  properties: {
    model: orNull(text.schema),
    text_1: textList.schema,
    text_2: textList.schema,
    user: orNull(text.schema),
  },
};

/**
 * `POST /v1/rerank`, compatible with Jina and Cohere. Throws `empty_body`, `invalid_json`; `checked` throws
 * `invalid_request`.
 */
export const decodeRerank = (bytes: Buffer): DecodedBody =>
  decoded(bytes, ({ query, documents }) => [query, documents], checkRerank);

/** `POST /v1/score`, compatible with vLLM. Throws likewise. */
export const decodeScore = (bytes: Buffer): DecodedBody =>
  decoded(bytes, ({ text_1: one, text_2: other }) => [one, other], checkScore);

function decoded(bytes: Buffer, texts: (json: JsonObject) => unknown, check: (json: JsonObject) => void): DecodedBody {
  const asked = withoutCapability(parseBody(bytes));
  const { body } = asked;
  const prompt = { text: texts(body.json) };
  return {
    ...asked,
    model: modelOf(body.json),
    checked: () => {
      check(body.json);
      return { body, prompt };
    },
    prompt,
    streamed: false,
    maxTokens: 0,
  };
}

function checkRerank(json: JsonObject): void {
  required(json, "query", query);
  if (json["texts"] !== undefined) throw invalid("texts", 'The field "texts" is not supported: use "documents".');
  const { documents } = json;
  if (!Array.isArray(documents) || documents.length === 0 || documents.length > MAX_DOCUMENTS) {
    const found = Array.isArray(documents) ? `${documents.length} of them` : shown(documents);
    throw invalid(
      "documents",
      `The field "documents" must be an array of 1 to ${MAX_DOCUMENTS} texts; found ${found}.`,
    );
  }
  for (const [index, document] of documents.entries()) {
    if (isText(document) || isTextObject(document)) continue;
    const at = `documents[${index}]`;
    throw invalid(at, `"${at}" must be a non-empty string, or an object with such a "text"; found ${shown(document)}.`);
  }
  optional(json, "top_n", integer(1));
  optional(json, "return_documents", boolean);
  optional(json, "user", text);
}

function checkScore(json: JsonObject): void {
  const { text_1: one, text_2: other } = json;
  required(json, "text_1", textList);
  required(json, "text_2", textList);
  if (Array.isArray(one) && one.length > 1 && (!Array.isArray(other) || one.length !== other.length)) {
    const found = Array.isArray(other) ? other.length : 1;
    throw invalid(
      "text_1",
      `The field "text_1" must be one text, or as many as "text_2", each for one of those; found ${one.length} and ${found}.`,
    );
  }
  optional(json, "user", text);
}

function required(json: JsonObject, name: string, rule: Rule): void {
  const value = json[name];
  if (value === undefined || value === null)
    throw invalid(name, `The field "${name}" is missing: expected ${rule.expected}.`);
  mustBe(rule, value, name);
}

function optional(json: JsonObject, name: string, rule: Rule): void {
  if (json[name] !== undefined && json[name] !== null) mustBe(rule, json[name], name);
}
