import { AssistantError } from "../../core/errors.ts";
import type { InferenceCall, JsonObject } from "../../core/inference.ts";
import type { WorkerMessage } from "../../core/worker.ts";

/** The chat history for a worker. Throws `invalid_request` or `unsupported_capability` for anything other than text. */
export function historyOf(call: InferenceCall): WorkerMessage[] {
  const { json } = call.body;
  for (const [name, isHarmless] of Object.entries(REFUSED))
    if (json[name] !== undefined && json[name] !== null && !isHarmless(json[name]))
      throw new AssistantError(
        "unsupported_capability",
        `A worker returns one plain text, and does not support the field "${name}".`,
        { param: name, remedy: "Remove it, or use a local model." },
      );
  return call.operation === "completion" ? [userMessage(promptOf(json))] : messagesOf(json);
}

/** Fields that change the kind of answer; the others concern sampling, which is up to the worker. */
const REFUSED: Readonly<Record<string, (value: unknown) => boolean>> = {
  tools: isEmpty,
  functions: isEmpty,
  n: (value) => value === 1,
  logprobs: (value) => value === false,
  echo: (value) => value === false,
  suffix: (value) => value === "",
  response_format: (value) => (value as { type?: unknown }).type === "text",
  grammar: (value) => value === "",
  json_schema: () => false,
  audio: () => false,
};

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

const userMessage = (msg: string): WorkerMessage => ({ isbot: false, msg });

function promptOf({ prompt }: JsonObject): string {
  const only: unknown = Array.isArray(prompt) && prompt.length === 1 ? prompt[0] : prompt;
  if (typeof only === "string") return only;
  throw new AssistantError("unsupported_capability", "A worker accepts one prompt, as a string.", {
    param: "prompt",
    remedy: "Send each prompt in a separate request.",
  });
}

const messagesOf = ({ messages }: JsonObject): WorkerMessage[] => (messages as readonly unknown[]).map(messageOf);

function messageOf(message: unknown, index: number): WorkerMessage {
  const { role, content } = message as { readonly role?: unknown; readonly content?: unknown };
  const msg = textOf(content, `messages[${index}].content`);
  if (role === "user") return userMessage(msg);
  if (role === "assistant") return { isbot: true, msg };
  if (role === "system" || role === "developer") return { isbot: false, msg, role: "system" };
  throw new AssistantError(
    "unsupported_capability",
    `A worker supports the roles user, assistant and system; found ${JSON.stringify(role)?.slice(0, 40)}.`,
    { param: `messages[${index}].role`, remedy: "Remove the message, or use a local model." },
  );
}

/** Text parts are concatenated. */
function textOf(content: unknown, at: string): string {
  if (typeof content === "string") return content;
  if (content === null || content === undefined) return "";
  const parts = content as readonly { readonly type?: unknown; readonly text?: unknown }[];
  const other = parts.findIndex(({ type, text }) => type !== "text" || typeof text !== "string");
  if (other < 0) return parts.map(({ text }) => text).join("");
  throw new AssistantError("unsupported_capability", "A worker only accepts text.", {
    param: `${at}[${other}].type`,
    remedy: "Leave the part out, or use a model that takes it.",
  });
}
