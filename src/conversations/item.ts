import type { JsonObject } from "../core/inference.ts";

/**
 * One part of a conversation, in the format of OpenAI's Responses API: a message, a call, the output of one, or
 * reasoning.
 */
export interface Item extends JsonObject {
  readonly type: string;
  readonly id: string;
}

/** The prefix of an item's id, by its type. */
const KINDS: Readonly<Record<string, string>> = {
  message: "msg",
  function_call: "fc",
  function_call_output: "fco",
  custom_tool_call: "ctc",
  custom_tool_call_output: "ctco",
  reasoning: "rs",
};
export const kindOf = (type: string): string => KINDS[type] ?? "item";

const INSTRUCTING: ReadonlySet<unknown> = new Set(["system", "developer"]);

const CALLS: ReadonlySet<string> = new Set(["function_call", "custom_tool_call"]);

/** A tool is called; `isCallOutput`: what it returned. */
export const isCall = ({ type }: Item): boolean => CALLS.has(type);
export const isCallOutput = ({ type }: Item): boolean => CALLS.has(type.replace(/_output$/, "")) && !CALLS.has(type);

export const isMessage = ({ type }: Item): boolean => type === "message";
export const isInstructing = (role: unknown): boolean => INSTRUCTING.has(role);
export const isInstruction = ({ type, role }: Item): boolean => type === "message" && isInstructing(role);
/** A turn begins with what the user says. */
export const beginsTurn = ({ type, role }: Item): boolean => type === "message" && role === "user";

/** A message with only text. */
export const textMessage = (id: string, role: string, text: string): Item => ({
  type: "message",
  id,
  role,
  content: [role === "assistant" ? { type: "output_text", text, annotations: [] } : { type: "input_text", text }],
});

/** What is written in a message; other parts than text are left out. */
export function textOf({ content }: Item): string {
  const parts = (Array.isArray(content) ? content : []) as readonly JsonObject[];
  return parts
    .map(({ text, refusal }) => text ?? refusal)
    .filter((text) => typeof text === "string")
    .join("\n");
}
