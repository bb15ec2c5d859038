import { randomBytes } from "node:crypto";
import type { Answer, Timings } from "./generate.ts";
import type { TokenLogprob } from "./logprobs.ts";
import type { Piece } from "./reader.ts";

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

/** A function that an answer calls. */
export interface Call {
  readonly id: string;
  readonly name: string;
  arguments: string;
}

export const newCall = (name: string): Call => ({ id: `call_${randomBytes(12).toString("hex")}`, name, arguments: "" });

/** What one choice is made of. */
export interface Choice {
  text: string;
  readonly calls: Call[];
  /** Null: no probabilities are wanted. */
  readonly logprobs: TokenLogprob[] | null;
}

/** Why an answer ended, as OpenAI's API says it. */
export const finishOf = ({ calls }: Choice, { finish }: Answer): string =>
  finish === "stop" && calls.length > 0 ? "tool_calls" : finish;

const logprobsBody = (logprobs: readonly TokenLogprob[] | null): object | null =>
  logprobs === null ? null : { content: logprobs };

/** A whole answer, not streamed. */
export function completion(
  envelope: Envelope,
  answers: readonly { choice: Choice; answer: Answer }[],
  usage: Usage,
  timings: Timings,
): object {
  const choices = answers.map(({ choice, answer }, index) => {
    const end = { index, finish_reason: finishOf(choice, answer) };
    if (envelope.dialect === "text") return { text: choice.text, ...end, logprobs: logprobsBody(choice.logprobs) };
    const message = { role: "assistant", content: choice.calls.length > 0 && choice.text === "" ? null : choice.text };
    return {
      ...end,
      message: choice.calls.length === 0 ? message : { ...message, tool_calls: choice.calls.map(callBody) },
      ...(choice.logprobs === null ? {} : { logprobs: logprobsBody(choice.logprobs) }),
    };
  });
  const object = envelope.dialect === "chat" ? "chat.completion" : "text_completion";
  return { choices, ...shared(envelope), object, usage: usageBody(usage), timings: timingsBody(timings) };
}

const callBody = ({ id, name, arguments: written }: Call): object => ({
  type: "function",
  function: { name, arguments: written },
  id,
});

/** What a piece adds to a streamed chat. `calls` are those of its choice so far. */
export function deltaOf(piece: Piece, calls: readonly Call[]): object {
  if (piece.type === "content") return { content: piece.text };
  const { index } = piece;
  if (piece.type === "arguments") return { tool_calls: [{ index, function: { arguments: piece.text } }] };
  return {
    tool_calls: [{ index, id: calls[index]?.id, type: "function", function: { name: piece.name, arguments: "" } }],
  };
}

export const OPENING = { role: "assistant", content: null };

/** One event of a stream. `added`: the delta of a chat, the text of a completion. */
export function chunk(
  envelope: Envelope,
  index: number,
  added: { readonly delta: object; readonly text: string },
  finish: string | null = null,
  logprobs: readonly TokenLogprob[] | null = null,
): Record<string, unknown> {
  const choice =
    envelope.dialect === "chat"
      ? {
          finish_reason: finish,
          index,
          delta: added.delta,
          ...(logprobs === null ? {} : { logprobs: logprobsBody(logprobs) }),
        }
      : { text: added.text, index, logprobs: logprobsBody(logprobs), finish_reason: finish };
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
