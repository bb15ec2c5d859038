import { type DescribedRule, invalid, isObject, isString, shown, text } from "./rules.ts";

/** The field that names the conversation of a request. */
export const conversation: DescribedRule = {
  passes: (value) => isString(value) || (isObject(value) && isString(value["id"])),
  expected: 'the id of a conversation, or {"id": …}',
  schema: { anyOf: [text.schema, { type: "object", required: ["id"], properties: { id: text.schema } }] },
};

/** Throws `invalid_request` for a value that names none. */
export function conversationIdOf(value: unknown): string {
  const named = isObject(value) ? value["id"] : value;
  if (isString(named)) return named;
  throw invalid("conversation", `The field "conversation" must be ${conversation.expected}; found ${shown(value)}.`);
}
