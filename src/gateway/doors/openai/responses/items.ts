import { type Item, kindOf } from "../../../../conversations/item.ts";
import {
  type Body,
  invalid,
  isObject,
  isString,
  mustBe,
  oneOf,
  type Rule,
  shown,
  text,
} from "../../../canonical/rules.ts";

/** OpenAI's limit for a list of input items. */
const MAX_ITEMS = 2048;

const ROLES = ["user", "assistant", "system", "developer"];
const role = oneOf(...ROLES);
const textOrParts: Rule = {
  passes: (value) => isString(value) || Array.isArray(value),
  expected: "a string or an array of parts",
};
const list: Rule = { passes: Array.isArray, expected: "an array" };

const checks: Readonly<Record<string, (item: Body, at: string) => Body>> = {
  message: checkMessage,
  function_call: (item, at) => {
    for (const name of ["call_id", "name", "arguments"]) mustBe(text, item[name], `${at}.${name}`);
    return item;
  },
  function_call_output: checkOutput,
  custom_tool_call: (item, at) => {
    for (const name of ["call_id", "name", "input"]) mustBe(text, item[name], `${at}.${name}`);
    return item;
  },
  custom_tool_call_output: checkOutput,
  reasoning: (item, at) => {
    for (const name of ["summary", "content"]) {
      const parts = item[name] ?? [];
      mustBe(list, parts, `${at}.${name}`);
      for (const [index, part] of (parts as readonly unknown[]).entries())
        mustBe(text, isObject(part) ? part["text"] : undefined, `${at}.${name}[${index}].text`);
    }
    return item;
  },
  item_reference: (item, at) => {
    mustBe(text, item["id"], `${at}.id`);
    return item;
  },
};

function checkOutput(item: Body, at: string): Body {
  mustBe(text, item["call_id"], `${at}.call_id`);
  mustBe(textOrParts, item["output"], `${at}.output`);
  if (Array.isArray(item["output"])) checkParts(item["output"], "user", `${at}.output`);
  return item;
}

/**
 * The field `input` as items, each with a type and an id, and messages with lists of parts. `idOf` creates missing ids.
 * Throws `invalid_request` naming the first wrong part.
 */
export function itemsOf(input: unknown, idOf: (kind: string, index: number) => string): readonly Item[] {
  if (isString(input)) return itemsOf([{ role: "user", content: input }], idOf);
  if (!Array.isArray(input) || input.length > MAX_ITEMS)
    throw invalid(
      "input",
      `The field "input" must be a string or an array of at most ${MAX_ITEMS} items; found ${shown(input)}.`,
    );
  return checkedItems(input, "input", idOf);
}

/** The same for a list in another field. */
export function checkedItems(
  items: readonly unknown[],
  field: string,
  idOf: (kind: string, index: number) => string,
): readonly Item[] {
  return items.map((item, index) => {
    const at = `${field}[${index}]`;
    if (!isObject(item)) throw invalid(at, `"${at}" must be an object; found ${shown(item)}.`);
    const type = item["type"] ?? (item["role"] === undefined ? undefined : "message");
    const check = isString(type) && Object.hasOwn(checks, type) ? checks[type] : undefined;
    if (check === undefined)
      throw invalid(
        `${at}.type`,
        `"${at}.type" must be ${oneOf(...Object.keys(checks)).expected}; found ${shown(type)}.`,
      );
    const { id, ...rest } = check(item, at);
    return { ...rest, type: type as string, id: isString(id) ? id : idOf(kindOf(type as string), index) };
  });
}

function checkMessage(message: Body, at: string): Body {
  if (!ROLES.includes(message["role"] as string)) mustBe(role, message["role"], `${at}.role`);
  const { content } = message;
  mustBe(textOrParts, content, `${at}.content`);
  const isAnswer = message["role"] === "assistant";
  if (isString(content)) {
    const part = isAnswer
      ? { type: "output_text", text: content, annotations: [] }
      : { type: "input_text", text: content };
    return { ...message, content: [part] };
  }
  checkParts(content as readonly unknown[], message["role"] as string, `${at}.content`);
  return message;
}

/** Required fields of a part, by its type. Data in parts is validated by its consumer. */
const PARTS: Readonly<Record<string, (part: Body, at: string) => void>> = {
  input_text: (part, at) => mustBe(text, part["text"], `${at}.text`),
  output_text: (part, at) => mustBe(text, part["text"], `${at}.text`),
  refusal: (part, at) => mustBe(text, part["refusal"], `${at}.refusal`),
  input_image: (part, at) => {
    if (part["file_id"] !== undefined && part["file_id"] !== null)
      throw invalid(`${at}.file_id`, `"${at}.file_id" is not supported: send the image itself in "image_url".`);
    mustBe(text, part["image_url"], `${at}.image_url`);
  },
  input_audio: (part, at) => {
    const { input_audio: audio } = part;
    for (const name of ["data", "format"])
      mustBe(text, isObject(audio) ? audio[name] : undefined, `${at}.input_audio.${name}`);
  },
};
const SAID: ReadonlySet<string> = new Set(["input_text", "output_text", "refusal"]);

function checkParts(parts: readonly unknown[], role: string, at: string): void {
  const types = Object.keys(PARTS).filter((type) => role === "user" || SAID.has(type));
  for (const [index, part] of parts.entries()) {
    const here = `${at}[${index}]`;
    if (!isObject(part)) throw invalid(here, `"${here}" must be an object; found ${shown(part)}.`);
    const { type } = part;
    if (!isString(type) || !types.includes(type))
      throw invalid(`${here}.type`, `"${here}.type" must be ${oneOf(...types).expected}; found ${shown(type)}.`);
    PARTS[type]?.(part, here);
  }
}
