import type { AssistantError } from "../../../core/errors.ts";

/** One sentence for people. Clients look for "not found" in it, to offer a download. */
export function errorBody({ code, message, remedy }: AssistantError): object {
  const text = remedy === null ? message : `${message.replace(/[^.!?]$/, "$&.")} ${remedy}`;
  return { error: code === "model_not_found" ? `model not found: ${text}` : text };
}
