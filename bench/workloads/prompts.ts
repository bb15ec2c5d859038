import { expectedAnswer, renderPrompt } from "../stub/text.ts";

/**
 * One message of a prompt, in words that take little room: equal seeds and sizes are equal texts. Of an answer only the
 * length is told, what it says follows from the prompt before it.
 */
export type PromptPart =
  | { readonly role: "system" | "user"; readonly seed: string; readonly tokens: number }
  | { readonly role: "assistant"; readonly tokens: number };

export interface Message {
  readonly role: string;
  readonly content: string;
}

const BYTES_PER_TOKEN = 4;

/** A text of exactly that many tokens, which no other seed gives. */
export function text(seed: string, tokens: number): string {
  const bytes = tokens * BYTES_PER_TOKEN;
  const words = `${seed} says so. `;
  return words.repeat(Math.ceil(bytes / words.length)).slice(0, bytes);
}

export function promptMessages(parts: readonly PromptPart[]): Message[] {
  const messages: Message[] = [];
  for (const part of parts) {
    const content =
      part.role === "assistant"
        ? expectedAnswer(renderPrompt({ messages }), part.tokens)
        : text(part.seed, part.tokens);
    messages.push({ role: part.role, content });
  }
  return messages;
}
