import { callEngine } from "../../../src/client/unix-http.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { type ModelKind, modelKinds } from "../../../src/core/model.ts";
import { nominal, type Rates } from "./score.ts";

/** What one run asks of the engine. */
export interface Workload {
  readonly kind: ModelKind;
  /** About; the engine's own count is used. */
  readonly promptTokens: number;
  readonly answerTokens: number;
  /** Requests at once in the second part of a run; 0: it has none. */
  readonly streams: number;
}

export interface WorkloadOrder {
  readonly kind: ModelKind;
  readonly contextTokens: number;
  readonly streams: number;
  /** What one run may take. */
  readonly runMs: number;
}

const MIN_PROMPT = 64;
const MIN_ANSWER = 8;

/**
 * The nominal request, or as much of it as fits into the context and the time at the rates that a short look showed.
 * Pure.
 */
export function planWorkload({ kind, contextTokens, streams, runMs }: WorkloadOrder, seen: Rates): Workload {
  const answer = modelKinds[kind].generates ? nominal.answer : 0;
  const requestMs = 1000 * (nominal.prompt / seen.prefill + (seen.decode === null ? 0 : answer / seen.decode));
  const share = Math.min(1, runMs / (requestMs * (1 + streams)));
  const answerTokens = answer === 0 ? 0 : Math.max(MIN_ANSWER, Math.round(answer * share));
  const room = Math.max(1, Math.floor(contextTokens * 0.9) - answerTokens - 8);
  return {
    kind,
    promptTokens: Math.min(room, Math.max(MIN_PROMPT, Math.round(nominal.prompt * share))),
    answerTokens,
    streams,
  };
}

/** Warms up an engine that has just started: pages are loaded, and the rates are roughly known. */
export const warmUp = (
  socketPath: string,
  kind: ModelKind,
  contextTokens: number,
  signal: AbortSignal,
): Promise<Rates> =>
  measureOnce(
    socketPath,
    { kind, promptTokens: Math.min(48, Math.floor(contextTokens / 2)), answerTokens: MIN_ANSWER, streams: 0 },
    signal,
  );

/** One run: a single request, then `streams` at once. Throws `engine_error`, or the signal's reason. */
export async function measureOnce(socketPath: string, workload: Workload, signal: AbortSignal): Promise<Rates> {
  const alone = await ask(socketPath, workload, signal);
  if (workload.streams === 0) return { prefill: alone.prefill, decode: alone.decode, streams: null };
  const startedAt = performance.now();
  const together = await Promise.all(Array.from({ length: workload.streams }, () => ask(socketPath, workload, signal)));
  const seconds = (performance.now() - startedAt) / 1000;
  return {
    prefill: alone.prefill,
    decode: alone.decode,
    streams: together.reduce((sum, { tokens }) => sum + tokens, 0) / seconds,
  };
}

interface Answered {
  readonly prefill: number;
  readonly decode: number | null;
  /** Prompt and answer together. */
  readonly tokens: number;
}

interface EngineAnswer {
  readonly usage?: { readonly prompt_tokens?: number; readonly completion_tokens?: number };
  readonly timings?: {
    readonly prompt_n?: number;
    readonly prompt_ms?: number;
    readonly predicted_per_second?: number;
  };
}

async function ask(
  socketPath: string,
  { kind, promptTokens, answerTokens }: Workload,
  signal: AbortSignal,
): Promise<Answered> {
  const prompt = freshText(promptTokens);
  const chat = { prompt, max_tokens: answerTokens, temperature: 0, ignore_eos: true, cache_prompt: false };
  const { generates, probe } = modelKinds[kind];
  const requests = {
    completion: ["/v1/completions", chat],
    embedding: ["/v1/embeddings", { input: prompt }],
    rerank: ["/v1/rerank", { query: "which way", documents: [prompt] }],
  } as const;
  const [path, body] = requests[probe === "embedding" || probe === "rerank" ? probe : "completion"];
  const startedAt = performance.now();
  const { usage, timings } = await call(socketPath, path, body, signal);
  const elapsedMs = performance.now() - startedAt;
  const read = usage?.prompt_tokens ?? 0;
  const written = usage?.completion_tokens ?? 0;
  if (read === 0 || (generates && timings?.prompt_ms === undefined)) {
    throw new AssistantError(
      "engine_error",
      "The engine answered without the counts and times that settings are compared by.",
    );
  }
  if (!generates) return { prefill: (read * 1000) / elapsedMs, decode: null, tokens: read };
  return {
    prefill: ((timings?.prompt_n ?? read) * 1000) / (timings?.prompt_ms ?? elapsedMs),
    decode: timings?.predicted_per_second ?? null,
    tokens: read + written,
  };
}

async function call(socketPath: string, path: string, body: object, signal: AbortSignal): Promise<EngineAnswer> {
  try {
    return await callEngine<EngineAnswer>({ socketPath, method: "POST", path, body, signal, silenceMs: null });
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw new AssistantError(
      "engine_error",
      `The engine did not answer ${path}: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

const words = ["river", "stone", "cloud", "green", "seven", "north", "paper", "light", "house", "train"];
let asked = 0;

/** Common words, about one token each, in an order that no cache has seen: the first word is a unique number. */
function freshText(tokens: number): string {
  asked++;
  return [
    `${asked}:`,
    ...Array.from(
      { length: Math.max(1, tokens - 3) },
      (_, index) => words[(index * (asked % 7) + index + asked) % words.length],
    ),
  ].join(" ");
}
