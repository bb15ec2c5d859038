import { randomBytes } from "node:crypto";
import type { Answer, Timings } from "./generate.ts";

/** Which of the two generating routes a request came by; their answers differ in shape only. */
export type Dialect = "chat" | "text";

/** What every object of one response shares. */
export interface Envelope {
  readonly dialect: Dialect;
  readonly id: string;
  readonly created: number;
  readonly model: string;
  readonly fingerprint: string;
}

export interface Usage {
  readonly promptTokens: number;
  readonly cachedTokens: number;
  readonly completionTokens: number;
}

export const newEnvelope = (dialect: Dialect, model: string, fingerprint: string): Envelope => ({
  dialect,
  id: `${dialect === "chat" ? "chatcmpl" : "cmpl"}-${randomBytes(16).toString("hex")}`,
  created: Math.floor(Date.now() / 1000),
  model,
  fingerprint,
});

const shared = ({ created, id, model, fingerprint }: Envelope): object => ({
  created,
  id,
  model,
  system_fingerprint: fingerprint,
});

/** A whole answer, not streamed. */
export function completion(
  envelope: Envelope,
  answers: readonly { text: string; answer: Answer }[],
  usage: Usage,
  timings: Timings,
): object {
  const choices = answers.map(({ text, answer }, index) =>
    envelope.dialect === "chat"
      ? { finish_reason: answer.finish, index, message: { role: "assistant", content: text } }
      : { text, index, logprobs: null, finish_reason: answer.finish },
  );
  const object = envelope.dialect === "chat" ? "chat.completion" : "text_completion";
  return { choices, ...shared(envelope), object, usage: usageBody(usage), timings: timingsBody(timings) };
}

/** One event of a stream. `text` null: the opening one of a chat choice. */
export function chunk(
  envelope: Envelope,
  index: number,
  text: string | null,
  finish: Answer["finish"] | null = null,
): Record<string, unknown> {
  const delta = finish !== null ? {} : text === null ? { role: "assistant", content: null } : { content: text };
  const choice =
    envelope.dialect === "chat"
      ? { finish_reason: finish, index, delta }
      : { text: text ?? "", index, logprobs: null, finish_reason: finish };
  return { choices: [choice], ...shared(envelope), object: objectOfChunk(envelope) };
}

/** The event without choices that carries the usage, last of all. */
export const usageChunk = (envelope: Envelope, usage: Usage): Record<string, unknown> => ({
  choices: [],
  ...shared(envelope),
  object: objectOfChunk(envelope),
  usage: usageBody(usage),
});

const objectOfChunk = ({ dialect }: Envelope): string =>
  dialect === "chat" ? "chat.completion.chunk" : "text_completion";

const usageBody = ({ promptTokens, cachedTokens, completionTokens }: Usage): object => ({
  completion_tokens: completionTokens,
  prompt_tokens: promptTokens,
  total_tokens: promptTokens + completionTokens,
  prompt_tokens_details: { cached_tokens: cachedTokens },
});

export function timingsBody({ cached, prompt, promptMs, predicted, predictedMs }: Timings): object {
  // The first token comes out of the prompt's evaluation: the clock of decoding starts with it.
  const steps = Math.max(0, predicted - 1);
  const per = (ms: number, count: number): number => (count > 0 ? ms / count : 0);
  const rate = (count: number, ms: number): number => (ms > 0 ? (count / ms) * 1000 : 0);
  return {
    ...{
      cache_n: cached,
      prompt_n: prompt,
      prompt_ms: promptMs,
      prompt_per_token_ms: per(promptMs, prompt),
      prompt_per_second: rate(prompt, promptMs),
    },
    ...{
      predicted_n: predicted,
      predicted_ms: predictedMs,
      predicted_per_token_ms: per(predictedMs, steps),
      predicted_per_second: rate(steps, predictedMs),
    },
  };
}

/** Timings of several answers as one. */
export const sumTimings = (all: readonly Timings[]): Timings =>
  all.reduce((sum, one) => ({
    cached: sum.cached + one.cached,
    prompt: sum.prompt + one.prompt,
    promptMs: sum.promptMs + one.promptMs,
    predicted: sum.predicted + one.predicted,
    predictedMs: sum.predictedMs + one.predictedMs,
  }));
