import { createHash, type Hash, hash } from "node:crypto";
import type { Prompt } from "../../core/inference.ts";
import type { PrefixMark, PromptFacts } from "../../core/request.ts";

/**
 * Boundaries that are kept: the first ones, which many prompts share, and the last ones, which the next turn continues
 * or an edited turn returns to. Every mark costs a decision about a third of a microsecond.
 */
const FIRST_MARKS = 4;
const LAST_MARKS = 12;
const CHAINED_MESSAGES = 64;
/** UTF-8 bytes of one token. English text has about 4.5, code and other languages less. */
const BYTES_PER_TOKEN = 4;
/** Tokens a chat template adds to a message. */
const TOKENS_PER_MESSAGE = 4;
/** Assumed for an image or audio part; the real number depends on the projector. */
const TOKENS_PER_MEDIUM = 512;
/** Characters. */
const SAMPLE = 4096;
/** First block of a completion prompt, characters. Blocks grow by a third, so 400 KB have 17 marks. */
const FIRST_BLOCK = 1024;
const BLOCK_GROWTH = 4 / 3;

/** Estimated tokens of a text: UTF-8 bytes ÷ 4, rounded up. */
export const estimateTokens = (text: string): number => Math.ceil(Buffer.byteLength(text) / BYTES_PER_TOKEN);

/**
 * Marks of the prefixes of a prompt, shortest first, at most 16 for a chat and about 20 for a completion of 400 KB: one
 * at each of the first 4 and the last 12 message boundaries, or at the ends of blocks that grow by a third. Equal
 * hashes mean equal prefixes; `tokens` are estimates. The last mark is the whole prompt. Empty if nothing can be
 * shared: no messages, or several prompts in one request.
 */
export function fingerprintPrefix({ messages, tools, text }: Prompt, scope: string): PrefixMark[] {
  let before = framed(scope);
  let bytes = 0;
  if (Array.isArray(tools) && tools.length > 0) {
    const written = JSON.stringify(tools);
    before += framed(written);
    bytes += Buffer.byteLength(written);
  }
  if (Array.isArray(messages)) return chatMarks(before, messages, bytes);
  const only: unknown = Array.isArray(text) && text.length === 1 ? text[0] : text;
  return typeof only === "string" && only !== "" ? textMarks(before, only) : [];
}

/**
 * What the scheduler learns about a prompt: the estimated length and the marks. Several texts in one request are added
 * up and share no prefix, and neither do prompts of different scopes.
 */
export function promptFacts(prompt: Prompt, scope: string): PromptFacts {
  const prefix = fingerprintPrefix(prompt, scope);
  const whole = prefix[prefix.length - 1];
  if (whole !== undefined) return { promptTokens: whole.tokens, prefix };
  return { promptTokens: tokensOfTexts(prompt.text), prefix };
}

/** A string, token ids, or lists of either. */
function tokensOfTexts(value: unknown): number {
  if (typeof value === "string") return estimateTokens(value);
  if (typeof value === "number") return 1;
  return Array.isArray(value) ? value.reduce<number>((sum, each) => sum + tokensOfTexts(each), 0) : 0;
}

function chatMarks(before: string, messages: readonly unknown[], bytesBefore: number): PrefixMark[] {
  const marks: PrefixMark[] = [];
  let link = before;
  let tokens = Math.ceil(bytesBefore / BYTES_PER_TOKEN);
  // Beyond this, a hash for each message that is never used costs more than copying one that is.
  let rest: Hash | null = null;
  for (let index = 0; index < messages.length; index++) {
    const message = messages[index];
    const text = framed(textOf(message));
    tokens += TOKENS_PER_MESSAGE + tokensOf(message);
    const isKept = index < FIRST_MARKS || index >= messages.length - LAST_MARKS;
    if (index < CHAINED_MESSAGES) link = chained(link, text);
    else {
      rest ??= createHash("sha1").update(link);
      rest.update(text);
      if (isKept) link = rest.copy().digest("hex");
    }
    if (isKept) marks.push({ hash: link, tokens });
  }
  return marks;
}

function textMarks(before: string, prompt: string): PrefixMark[] {
  const marks: PrefixMark[] = [];
  let link = before;
  let tokens = 0;
  let block = FIRST_BLOCK;
  for (let start = 0; start < prompt.length; ) {
    const end = Math.min(prompt.length, start + Math.floor(block));
    const text = prompt.slice(start, end);
    // An unpaired surrogate is hashed as a replacement character, and thus equals another one: harmless for an estimate
    // of what is cached, and the same for every request.
    link = chained(link, text);
    tokens += estimateTokens(text);
    marks.push({ hash: link, tokens });
    start = end;
    block *= BLOCK_GROWTH;
  }
  return marks;
}

/**
 * Every boundary hashes the previous one and what follows it: one pass over the prompt, without keeping hash objects.
 */
const chained = (previous: string, text: string): string => hash("sha1", previous + text, "hex");

/** With its length first, so that two texts that are divided differently have different hashes. */
const framed = (text: string): string => `${text.length}:${text}`;

/** All parts of a message that reach the prompt: role, content, names, tool calls. */
function textOf(message: unknown): string {
  if (isPlainMessage(message)) return `${message.role}\n${message.content}`;
  const { content } = (message ?? {}) as { readonly content?: unknown };
  if (!Array.isArray(content) || content.every(isText)) return JSON.stringify(message) ?? "";
  const parts = content.map((part: unknown) => (isText(part) ? part : JSON.stringify(part, sampled)));
  return JSON.stringify({ ...(message as object), content: parts });
}

/** Long data of an image or a recording by its length and three samples: hashing 20 MB takes a tenth of a second. */
function sampled(_: string, value: unknown): unknown {
  if (typeof value !== "string" || value.length < 3 * SAMPLE) return value;
  const middle = Math.floor(value.length / 2);
  return [value.length, value.slice(0, SAMPLE), value.slice(middle, middle + SAMPLE), value.slice(-SAMPLE)];
}

const isPlainMessage = (message: unknown): message is { role: string; content: string } => {
  if (typeof message !== "object" || message === null) return false;
  const { role, content } = message as { role?: unknown; content?: unknown };
  return typeof role === "string" && typeof content === "string" && Object.keys(message).length === 2;
};

function tokensOf(message: unknown): number {
  if (typeof message !== "object" || message === null) return 0;
  const { content, tool_calls: calls } = message as { content?: unknown; tool_calls?: unknown };
  const own =
    typeof content === "string"
      ? estimateTokens(content)
      : Array.isArray(content)
        ? content.reduce<number>((sum, part) => sum + tokensOfPart(part), 0)
        : 0;
  return calls === undefined ? own : own + estimateTokens(JSON.stringify(calls));
}

const isText = (part: unknown): part is { readonly text: string } =>
  typeof (part as { readonly text?: unknown } | null)?.text === "string";

const tokensOfPart = (part: unknown): number => (isText(part) ? estimateTokens(part.text) : TOKENS_PER_MEDIUM);
