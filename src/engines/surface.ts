import { request } from "node:http";
import { AssistantError } from "../core/errors.ts";
import { type KindTraits, modelKinds } from "../core/model.ts";
import type { EngineProbe, SlotProgress } from "../core/probe.ts";

/** How the fleet looks at an engine of either kind: both answer the same surface on their sockets. */
export function createEngineProbe(): EngineProbe {
  return {
    async health(socketPath, signal) {
      const { status, body } = await call(socketPath, "GET", "/health", null, signal);
      if (status === 200) return "ready";
      if (status === 503) return "loading";
      throw unexpected("/health", status, body);
    },
    async slots(socketPath, signal) {
      const { status, body } = await call(socketPath, "GET", "/slots", null, signal);
      const parsed = status === 200 ? parse(body) : null;
      if (!Array.isArray(parsed)) throw unexpected("/slots", status, body);
      return parsed.map(slotProgress);
    },
    async token(socketPath, kind, signal) {
      const { path, question, answered } = probes[modelKinds[kind].probe];
      const { status, body } = await call(socketPath, "POST", path, question, signal);
      if (status !== 200 || !answered(parse(body) as ProbeAnswer | null)) throw unexpected(path, status, body);
    },
    async saveSlot(socketPath, slot, file, signal) {
      const { saved } = await slotAction(socketPath, `/slots/${slot}?action=save`, file, signal, false);
      return saved;
    },
    async restoreSlot(socketPath, slot, file, signal) {
      const { restored } = await slotAction(socketPath, `/slots/${slot}?action=restore`, file, signal, false);
      return restored;
    },
    async saveCached(socketPath, index, file, signal) {
      const { can, saved } = await slotAction(socketPath, `/slots/${index}?action=cache-save`, file, signal, true);
      return can && saved.tokens > 0 ? saved : null;
    },
    async loadCached(socketPath, file, signal) {
      const { can, restored } = await slotAction(socketPath, "/slots/0?action=cache-load", file, signal, true);
      return can ? restored : null;
    },
  };
}

/** The parts of an answer that are read; everything may be missing. */
interface ProbeAnswer {
  readonly usage?: { readonly completion_tokens?: number };
  readonly data?: readonly { readonly embedding?: readonly unknown[] }[];
}

interface ProbeRequest {
  readonly path: string;
  readonly question: object;
  answered(answer: ProbeAnswer | null): boolean;
}

const probes: Readonly<Record<KindTraits["probe"], ProbeRequest>> = {
  completion: {
    path: "/v1/completions",
    // An unfinished sentence, so that the first token is a word and not the end mark; uncached, so that it is computed.
    question: { prompt: "One, two,", max_tokens: 1, temperature: 0, cache_prompt: false },
    answered: (answer) => (answer?.usage?.completion_tokens ?? 0) > 0,
  },
  embedding: {
    path: "/v1/embeddings",
    question: { input: "One, two, three." },
    answered: (answer) => (answer?.data?.[0]?.embedding?.length ?? 0) > 0,
  },
};

interface SlotFile {
  readonly can: boolean;
  readonly saved: { readonly tokens: number; readonly bytes: number };
  readonly restored: number;
}

/** Saves or restores one file. `refusable`: the engine may say that it has no room for it, no such cache, or no such action. */
async function slotAction(
  socketPath: string,
  path: string,
  file: string,
  signal: AbortSignal,
  refusable: boolean,
): Promise<SlotFile> {
  const { status, body } = await call(socketPath, "POST", path, { filename: file }, signal);
  const answer = parse(body) as {
    n_saved?: number;
    n_written?: number;
    n_restored?: number;
    error?: { message?: string };
  } | null;
  const can = status === 200 && (answer?.n_saved ?? answer?.n_restored) !== undefined;
  const refused = status === 501 || status === 503 || (status === 400 && answer?.error?.message === "Invalid action");
  if (!can && !(refusable && refused)) throw unexpected(path, status, body);
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

/** A fresh connection each time: a kept one may be stale, and over a Unix socket a new one costs microseconds. */
function call(
  socketPath: string,
  method: string,
  path: string,
  body: object | null,
  signal: AbortSignal,
): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const text = body === null ? null : JSON.stringify(body);
    const headers =
      text === null ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(text) };
    const outgoing = request(
      { socketPath, method, path, signal, agent: false, headers: { ...headers, connection: "close", host: "engine" } },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () =>
          resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") }),
        );
      },
    );
    outgoing.on("error", reject);
    outgoing.end(text ?? undefined);
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

const unexpected = (path: string, status: number, body: string): AssistantError =>
  new AssistantError("engine_error", `The engine answered ${path} with status ${status}: ${body.slice(0, 300)}`);
