import { createHash } from "node:crypto";
import type { Slot } from "./slots.ts";

/** JSON shapes of llama-server's answers, read off a real one. */

export type Kind = "chat" | "text";

export interface Answer {
  readonly kind: Kind;
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly includeUsage: boolean;
  readonly startedAt: number;
  promptMs: number;
  firstTokenAt: number;
}

export const tokenText = (index: number, fixed: string): string => fixed || `${index === 0 ? "" : " "}word${index}`;

const head = (answer: Answer, object: string): object => ({
  created: answer.created,
  id: answer.id,
  model: answer.model,
  system_fingerprint: "fake-1",
  object,
});

const chatChunk = (answer: Answer, delta: object, finish: string | null): object => ({
  choices: [{ finish_reason: finish, index: 0, delta }],
  ...head(answer, "chat.completion.chunk"),
});

/** The chunk before the first token, where there is one. */
export const openingChunk = (answer: Answer): object | null =>
  answer.kind === "chat" ? chatChunk(answer, { role: "assistant", content: null }, null) : null;

/** What `return_progress` adds after every batch of the prompt. */
export const progressChunk = (answer: Answer, slot: Slot): object => ({
  ...(answer.kind === "chat" ? chatChunk(answer, { role: "assistant", content: null }, null) : tokenChunk(answer, "")),
  prompt_progress: {
    total: slot.promptTokens,
    cache: slot.cacheN,
    processed: slot.cacheN + slot.promptDone,
    time_ms: Math.round(performance.now() - answer.startedAt),
  },
});

export const tokenChunk = (answer: Answer, text: string): object =>
  answer.kind === "chat"
    ? chatChunk(answer, { content: text }, null)
    : { choices: [{ text, index: 0, logprobs: null, finish_reason: null }], ...head(answer, "text_completion") };

/** What follows the last token: the finish reason, then usage where asked for; timings stand in the last of them. */
export function closingChunks(answer: Answer, slot: Slot, finish: string): object[] {
  const timings = timingsOf(answer, slot);
  if (answer.kind === "text") {
    return [
      {
        choices: [{ text: "", index: 0, logprobs: null, finish_reason: finish }],
        ...head(answer, "text_completion"),
        usage: usageOf(slot),
        timings,
      },
    ];
  }
  const last = chatChunk(answer, {}, finish);
  if (!answer.includeUsage) return [{ ...last, timings }];
  return [last, { choices: [], ...head(answer, "chat.completion.chunk"), usage: usageOf(slot), timings }];
}

export function wholeAnswer(answer: Answer, slot: Slot, text: string, finish: string): object {
  const choice =
    answer.kind === "chat"
      ? { finish_reason: finish, index: 0, message: { role: "assistant", content: text } }
      : { text, index: 0, logprobs: null, finish_reason: finish };
  return {
    choices: [choice],
    ...head(answer, answer.kind === "chat" ? "chat.completion" : "text_completion"),
    usage: usageOf(slot),
    timings: timingsOf(answer, slot),
  };
}

const usageOf = (slot: Slot): object => ({
  completion_tokens: slot.decoded,
  prompt_tokens: slot.promptTokens,
  total_tokens: slot.promptTokens + slot.decoded,
  prompt_tokens_details: { cached_tokens: slot.cacheN },
});

function timingsOf(answer: Answer, slot: Slot): object {
  const promptN = slot.promptTokens - slot.cacheN;
  const predictedMs = Math.max(0.001, performance.now() - (answer.firstTokenAt || performance.now()));
  const promptMs = Math.max(0.001, answer.promptMs);
  return {
    cache_n: slot.cacheN,
    prompt_n: promptN,
    prompt_ms: promptMs,
    prompt_per_token_ms: promptMs / Math.max(1, promptN),
    prompt_per_second: (promptN * 1000) / promptMs,
    predicted_n: slot.decoded,
    predicted_ms: predictedMs,
    predicted_per_token_ms: predictedMs / Math.max(1, slot.decoded),
    predicted_per_second: (slot.decoded * 1000) / predictedMs,
  };
}

export const errorBody = (code: number, message: string, type: string, more: object = {}): object => ({
  error: { code, message, type, ...more },
});

const DIMENSIONS = 8;

/** A unit vector that depends on the text alone. */
export function embed(text: string): number[] {
  const bytes = createHash("sha256").update(text).digest();
  const raw = Array.from({ length: DIMENSIONS }, (_, index) => (bytes[index] ?? 0) - 127.5);
  const norm = Math.hypot(...raw);
  return raw.map((value) => value / norm);
}

/** A stable number for a word, as a tokenizer would give. */
export const tokenId = (word: string): number => createHash("sha256").update(word).digest().readUInt16BE(0);
