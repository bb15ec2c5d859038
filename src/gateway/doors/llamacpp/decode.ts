import type { IncomingHttpHeaders } from "node:http";
import { bodyOf, type InferenceCall, type JsonObject } from "../../../core/inference.ts";
import { decodeBody, modelOf, parseBody } from "../../canonical/decode.ts";
import { checkFields } from "../../canonical/fields.ts";
import { boolean, INT32_MAX, invalid, isObject, isString, mustBe, type Rule, shown } from "../../canonical/rules.ts";
import type { DecodedBody, InferenceRoute } from "../../front/door.ts";
import { queryOf, type RequestTarget } from "../../front/target.ts";

type Decode = InferenceRoute["decode"];
type Checked = Pick<InferenceCall, "body" | "prompt">;

/** Nothing is computed, so there is nothing to match with a cache. */
const NO_PROMPT = {};

const isToken = (value: unknown): boolean =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= INT32_MAX;
const isPart = (value: unknown): boolean => isString(value) || isToken(value);

/** A text of a million tokens, the longest context there is; an engine takes a second for a third of it. */
const MAX_CHARACTERS = 4 * 2 ** 20;
const lengthOf = (value: unknown): number =>
  isString(value)
    ? value.length
    : Array.isArray(value)
      ? value.reduce<number>((sum, part) => sum + lengthOf(part), 0)
      : 1;

const content: Rule = {
  passes: (value) =>
    (isString(value) || (Array.isArray(value) && value.every(isPart))) && lengthOf(value) <= MAX_CHARACTERS,
  expected: `a string, or an array of strings and tokens, of at most ${MAX_CHARACTERS} characters`,
};
const tokens: Rule = {
  passes: (value) => Array.isArray(value) && value.length <= MAX_CHARACTERS && value.every(isToken),
  expected: `an array of at most ${MAX_CHARACTERS} token numbers from 0`,
};
const text: Rule = { passes: isString, expected: "a string" };

/** The body's `model`, otherwise the query's; "": the default one. */
const modelIn = (inBody: string, target: RequestTarget): string =>
  inBody === "" ? (queryOf(target).get("model") ?? "") : inBody;

/**
 * `POST /tokenize`. Throws `empty_body`, `invalid_json`; `checked` throws `invalid_request` naming the first wrong
 * field.
 */
export const decodeTokenize: Decode = (bytes, _, target) =>
  ofVocabulary(bytes, target, (json) => {
    required(json, "content", content);
    for (const name of ["add_special", "parse_special", "with_pieces"]) optional(json, name, boolean);
  });

/** `POST /detokenize`. Throws likewise. */
export const decodeDetokenize: Decode = (bytes, _, target) =>
  ofVocabulary(bytes, target, (json) => required(json, "tokens", tokens));

function ofVocabulary(bytes: Buffer, target: RequestTarget, check: (json: JsonObject) => void): DecodedBody {
  const body = parseBody(bytes);
  return {
    model: modelIn(modelOf(body.json), target),
    body,
    checked: () => {
      check(body.json);
      return { body, prompt: NO_PROMPT };
    },
    prompt: NO_PROMPT,
    streamed: false,
    maxTokens: 0,
  };
}

/**
 * What is computed from a chat's messages without answering: `POST /apply-template` and
 * `/v1/chat/completions/input_tokens`. Throws like a chat's body.
 */
export const decodeChat: Decode = (bytes, _, target) => {
  const { model, body, checked } = decodeBody("chat", bytes);
  return {
    model: modelIn(model, target),
    body,
    checked: () => ({ body: checked?.().body ?? body, prompt: NO_PROMPT }),
    prompt: NO_PROMPT,
    streamed: false,
    maxTokens: 0,
  };
};

const isPrompt = (value: unknown): boolean => {
  if (isObject(value)) {
    const { prompt_string: written, multimodal_data: media = [] } = value;
    return isString(written) && Array.isArray(media) && media.every(isString);
  }
  // A list of strings is a list of prompts, of which only one is allowed.
  return isString(value) || (Array.isArray(value) && value.length > 0 && value.every(isPart) && !isSeveral(value));
};
const isSeveral = (list: readonly unknown[]): boolean => list.length > 1 && list.every(isString);

const prompt: Rule = {
  passes: isPrompt,
  expected:
    "one prompt: a string, a non-empty array of tokens, or of strings and tokens, or an object with prompt_string",
};

/**
 * `POST /completion`: the fields of `/v1/completions` except those of OpenAI's answers, and one prompt. Throws
 * likewise.
 */
export const decodeCompletion: Decode = (bytes, headers, target) =>
  generating(
    bytes,
    headers,
    target,
    ({ prompt }) => (isObject(prompt) ? prompt["prompt_string"] : prompt),
    (json) => {
      if (Array.isArray(json["prompt"]) && isSeveral(json["prompt"]))
        throw invalid("prompt", 'The field "prompt" must be one prompt here; /v1/completions takes several.');
      required(json, "prompt", prompt);
    },
  );

/** `POST /infill`. Throws likewise. */
export const decodeInfill: Decode = (bytes, headers, target) =>
  generating(bytes, headers, target, infillText, (json) => {
    required(json, "input_prefix", text);
    required(json, "input_suffix", text);
    optional(json, "prompt", text);
    checkExtra(json["input_extra"]);
  });

/** In the order of the models that expect the text around the gap first. */
const infillText = ({ input_extra: extra, input_prefix: before, input_suffix: after, prompt }: JsonObject): unknown =>
  [...(Array.isArray(extra) ? extra.map((file) => (isObject(file) ? file["text"] : "")) : []), before, after, prompt]
    .filter(isString)
    .join("\n");

/** Other files, for context. */
function checkExtra(extra: unknown): void {
  if (extra === undefined) return;
  if (!Array.isArray(extra))
    throw invalid("input_extra", `The field "input_extra" must be an array of files; found ${shown(extra)}.`);
  for (const [index, file] of extra.entries()) {
    const at = `input_extra[${index}]`;
    if (!isObject(file)) throw invalid(at, `"${at}" must be an object; found ${shown(file)}.`);
    mustBe(text, file["text"], `${at}.text`);
    if (file["filename"] !== undefined) mustBe(text, file["filename"], `${at}.filename`);
  }
}

/** Except for the prompt, the fields are those of OpenAI's completions. */
function otherFields(body: InferenceCall["body"]): InferenceCall["body"] {
  const { prompt, ...others } = body.json;
  const whole = { ...others, prompt: "" };
  const known = checkFields("completion", whole);
  if (known === whole) return body;
  return bodyOf({ ...known, prompt });
}

function generating(
  bytes: Buffer,
  _: IncomingHttpHeaders,
  target: RequestTarget,
  promptOf: (json: JsonObject) => unknown,
  check: (json: JsonObject) => void,
): DecodedBody {
  const body = parseBody(bytes);
  const { json } = body;
  const asked = json["n_predict"] ?? json["max_tokens"];
  return {
    model: modelIn(modelOf(json), target),
    body,
    checked: (): Checked => {
      check(json);
      for (const name of ["n", "n_cmpl"])
        if ((json[name] ?? 1) !== 1)
          throw invalid(name, `The field "${name}" must be 1 here; found ${shown(json[name])}.`);
      return { body: otherFields(body), prompt: { text: promptOf(json) } };
    },
    prompt: { text: promptOf(json) },
    streamed: json["stream"] === true,
    maxTokens: typeof asked === "number" && asked >= 0 ? asked : null,
  };
}

function required(json: JsonObject, name: string, rule: Rule): void {
  const value = json[name];
  if (value === undefined || value === null)
    throw invalid(name, `The field "${name}" is missing: expected ${rule.expected}.`);
  mustBe(rule, value, name);
}

function optional(json: JsonObject, name: string, rule: Rule): void {
  if (json[name] !== undefined) mustBe(rule, json[name], name);
}
