import { createHash } from "node:crypto";

/** Of a request, as far as its prompt goes. The fields are the body's, unchecked. */
export interface PromptBody {
  readonly messages?: unknown;
  readonly prompt?: unknown;
  readonly tools?: unknown;
}

/** The prompt as the model would see it. An answer that comes back as a message continues the text it was made from. */
export function renderPrompt({ messages, prompt, tools }: PromptBody): string {
  const head = Array.isArray(tools) && tools.length > 0 ? `${JSON.stringify(tools)}\n` : "";
  if (!Array.isArray(messages)) return `${head}${Array.isArray(prompt) ? prompt.join("\n") : String(prompt ?? "")}`;
  const turns = messages.map((message: { role?: unknown; content?: unknown }) => {
    const content = typeof message.content === "string" ? message.content : JSON.stringify(message.content ?? "");
    return `<${String(message.role)}>\n${content}\n`;
  });
  return `${head}${turns.join("")}<assistant>\n`;
}

/** Sixteen hexadecimal digits that only this prompt has. */
export const signatureOf = (prompt: string): string => createHash("sha256").update(prompt).digest("hex").slice(0, 16);

const SIGNATURE_TOKENS = 4;
const TOKEN_BYTES = 4;

/**
 * Token number `index` of the answer: the prompt's signature first, then the number itself. All are four bytes long.
 */
export const answerToken = (signature: string, index: number): string =>
  index < SIGNATURE_TOKENS
    ? signature.slice(index * TOKEN_BYTES, (index + 1) * TOKEN_BYTES)
    : ` ${String(index % 1000).padStart(3, "0")}`;

/** The whole answer to a prompt, which anybody can compute who knows it: nothing lost, nothing of another request. */
export function expectedAnswer(prompt: string, tokens: number): string {
  const signature = signatureOf(prompt);
  return Array.from({ length: tokens }, (_, index) => answerToken(signature, index)).join("");
}

/** Bytes with which both begin. */
export function commonPrefix(a: Buffer, b: Buffer): number {
  let same = 0;
  let least = Math.min(a.length, b.length);
  // Halving with the library's comparison: byte by byte, long prompts would take milliseconds.
  if (a.compare(b, 0, least, 0, least) === 0) return least;
  while (same < least) {
    const half = (same + least + 1) >> 1;
    if (a.compare(b, same, half, same, half) === 0) same = half;
    else least = half - 1;
  }
  return same;
}
