import { type KindTraits, modelKinds } from "../core/model.ts";
import type { EngineProbe, SlotProgress } from "../core/probe.ts";
import { speechProbe, transcriptionProbe } from "./audio-probe.ts";
import { callEngine, type Payload, parseAnswer, unexpectedAnswer } from "./call.ts";

/** How the fleet probes both llama.cpp engines: they have the same interface on their sockets. */
export function createEngineProbe(): Required<EngineProbe> {
  return {
    async health(endpoint, signal) {
      const { status, body } = await callEngine(endpoint, "GET", "/health", null, signal);
      if (status === 200) return "ready";
      if (status === 503) return "loading";
      throw unexpectedAnswer("/health", status, body);
    },
    async slots(endpoint, signal) {
      const { status, body } = await callEngine(endpoint, "GET", "/slots", null, signal);
      const parsed = status === 200 ? parseAnswer(body) : null;
      if (!Array.isArray(parsed)) throw unexpectedAnswer("/slots", status, body);
      return parsed.map(slotProgress);
    },
    async token(endpoint, kind, signal) {
      const { probe } = modelKinds[kind];
      if (probe === null) return;
      const { path, question, answered } = probes[probe];
      const { status, body } = await callEngine(endpoint, "POST", path, question, signal);
      if (status !== 200 || !answered(body)) throw unexpectedAnswer(path, status, body);
    },
    async saveSlot(endpoint, slot, file, signal) {
      const { saved } = await slotAction(endpoint, `/slots/${slot}?action=save`, file, signal, false);
      return saved;
    },
    async restoreSlot(endpoint, slot, file, signal) {
      const { restored } = await slotAction(endpoint, `/slots/${slot}?action=restore`, file, signal, false);
      return restored;
    },
    async saveCached(endpoint, index, file, signal) {
      const { can, saved } = await slotAction(endpoint, `/slots/${index}?action=cache-save`, file, signal, true);
      return can && saved.tokens > 0 ? saved : null;
    },
    async loadCached(endpoint, file, signal) {
      const { can, restored } = await slotAction(endpoint, "/slots/0?action=cache-load", file, signal, true);
      return can ? restored : null;
    },
  };
}

/** The parts of an answer that are read; everything may be missing. */
interface ProbeAnswer {
  readonly usage?: { readonly completion_tokens?: number };
  readonly data?: readonly { readonly embedding?: readonly unknown[] }[];
  readonly results?: readonly { readonly relevance_score?: unknown }[];
}

interface ProbeRequest {
  readonly path: string;
  readonly question: object | Payload;
  answered(body: string): boolean;
}

const answerOf = (body: string): ProbeAnswer | null => parseAnswer(body) as ProbeAnswer | null;

const probes: Readonly<Record<NonNullable<KindTraits["probe"]>, ProbeRequest>> = {
  completion: {
    path: "/v1/completions",
    // An unfinished sentence, so that the first token is a word and not the end mark; uncached, so that it is computed.
    question: { prompt: "One, two,", max_tokens: 1, temperature: 0, cache_prompt: false },
    answered: (body) => (answerOf(body)?.usage?.completion_tokens ?? 0) > 0,
  },
  embedding: {
    path: "/v1/embeddings",
    question: { input: "One, two, three." },
    answered: (body) => (answerOf(body)?.data?.[0]?.embedding?.length ?? 0) > 0,
  },
  rerank: {
    path: "/v1/rerank",
    question: { query: "One, two,", documents: ["three"] },
    // A score that is no number becomes null in JSON.
    answered: (body) => typeof answerOf(body)?.results?.[0]?.relevance_score === "number",
  },
  speech: { ...speechProbe, question: speechProbe.ask() },
  transcription: { ...transcriptionProbe, question: transcriptionProbe.ask() },
};

interface SlotFile {
  readonly can: boolean;
  readonly saved: { readonly tokens: number; readonly bytes: number };
  readonly restored: number;
}

/**
 * Saves or restores one file. `refusable`: the engine may say that it has no room for it, no such cache, or no such
 * action.
 */
async function slotAction(
  endpoint: string,
  path: string,
  file: string,
  signal: AbortSignal,
  refusable: boolean,
): Promise<SlotFile> {
  const { status, body } = await callEngine(endpoint, "POST", path, { filename: file }, signal);
  const answer = parseAnswer(body) as {
    n_saved?: number;
    n_written?: number;
    n_restored?: number;
    error?: { message?: string };
  } | null;
  const can = status === 200 && (answer?.n_saved ?? answer?.n_restored) !== undefined;
  const refused = status === 501 || status === 503 || (status === 400 && answer?.error?.message === "Invalid action");
  if (!can && !(refusable && refused)) throw unexpectedAnswer(path, status, body);
  return {
    can,
    saved: { tokens: answer?.n_saved ?? 0, bytes: answer?.n_written ?? 0 },
    restored: answer?.n_restored ?? 0,
  };
}

interface RawSlot {
  readonly id: number;
  readonly is_processing: boolean;
  readonly id_task?: number;
  readonly n_prompt_tokens?: number;
  readonly n_prompt_tokens_processed?: number;
  readonly n_prompt_tokens_cache?: number;
  readonly next_token?: readonly { readonly n_decoded?: number }[];
}

function slotProgress(slot: RawSlot): SlotProgress {
  return {
    id: slot.id,
    busy: slot.is_processing,
    promptTokensDone: (slot.n_prompt_tokens_cache ?? 0) + (slot.n_prompt_tokens_processed ?? 0),
    tokensDecoded: slot.next_token?.[0]?.n_decoded ?? 0,
    ...(slot.n_prompt_tokens === undefined ? {} : { cachedTokens: slot.n_prompt_tokens }),
    ...(slot.id_task === undefined ? {} : { task: slot.id_task }),
  };
}
