import type { CommandSettings } from "../../core/command.ts";
import type { Endpoint } from "../../core/endpoint.ts";
import { answers, type KindTraits, type ModelSpec, modelKinds } from "../../core/model.ts";
import type { EngineProbe } from "../../core/probe.ts";
import { speechProbe, transcriptionProbe } from "../audio-probe.ts";
import { callEngine, parseAnswer, unexpectedAnswer } from "../call.ts";

/** The parts of a response that are read; any may be missing. */
interface Answer {
  readonly choices?: readonly unknown[];
  readonly data?: readonly { readonly embedding?: { readonly length?: number } }[];
  readonly results?: readonly { readonly relevance_score?: unknown }[];
}

interface Question {
  readonly path: string;
  readonly body: object;
  answered(answer: Answer): boolean;
}

const chat: Question = {
  path: "/v1/chat/completions",
  body: { messages: [{ role: "user", content: "One, two," }], max_tokens: 1 },
  answered: ({ choices }) => (choices?.length ?? 0) > 0,
};

const questions: Readonly<Record<Exclude<KindTraits["probe"], "speech" | "transcription" | null>, Question>> = {
  completion: {
    path: "/v1/completions",
    body: { prompt: "One, two,", max_tokens: 1 },
    answered: ({ choices }) => (choices?.length ?? 0) > 0,
  },
  embedding: {
    path: "/v1/embeddings",
    body: { input: "One, two, three." },
    answered: ({ data }) => (data?.[0]?.embedding?.length ?? 0) > 0,
  },
  rerank: {
    path: "/v1/rerank",
    body: { query: "One, two,", documents: ["three"] },
    answered: ({ results }) => typeof results?.[0]?.relevance_score === "number",
  },
};

/**
 * Probes a server of which only OpenAI's API is known: its health, and whether it answers. It has no slots to check or
 * save.
 */
export function createCommandProbe(model: ModelSpec, { healthPath, servedModel }: CommandSettings): EngineProbe {
  return {
    async health(endpoint, signal) {
      const { status, body } = await callEngine(endpoint, "GET", healthPath, null, signal);
      if (status >= 200 && status < 300) return "ready";
      if (status === 503) return "loading";
      throw unexpectedAnswer(healthPath, status, body);
    },
    async token(endpoint, kind, signal) {
      const { probe } = modelKinds[kind];
      if (probe === null) return;
      const name = servedModel === "" ? model.name : servedModel;
      if (probe === "speech" || probe === "transcription") return askForSound(endpoint, probe, name, signal);
      const {
        path,
        body: question,
        answered,
      } = probe === "completion" && !answers(model, "completion") ? chat : questions[probe];
      const asked = { model: name, ...question };
      const { status, body } = await callEngine(endpoint, "POST", path, asked, signal);
      const answer = parseAnswer(body);
      if (status !== 200 || typeof answer !== "object" || answer === null || !answered(answer))
        throw unexpectedAnswer(path, status, body);
    },
  };
}

/**
 * A speech server may only have its own voices, and require one: refusing a request without a voice shows that it
 * responds.
 */
async function askForSound(
  endpoint: Endpoint,
  probe: "speech" | "transcription",
  model: string,
  signal: AbortSignal,
): Promise<void> {
  const { path, ask, answered } = probe === "speech" ? speechProbe : transcriptionProbe;
  const { status, body } = await callEngine(endpoint, "POST", path, ask(model), signal);
  const refuses = probe === "speech" && (status === 400 || status === 422);
  if (!refuses && (status !== 200 || !answered(body))) throw unexpectedAnswer(path, status, body);
}
