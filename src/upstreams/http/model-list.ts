import type { ModelKind } from "../../core/model.ts";
import type { ListedModel } from "../connector.ts";

/** Aggregators list some hundred. */
const MAX_MODELS = 2_000;
/** Suitable for a header, a log line and a table. */
const ID = /^[\x21-\x7e]{1,200}$/;

/** Entries of an API's list that have more than OpenAI's. */
interface Entry {
  readonly id?: unknown;
  readonly name?: unknown;
  readonly kind?: unknown;
  readonly type?: unknown;
  readonly capabilities?: unknown;
  readonly architecture?: { readonly output_modalities?: unknown };
  readonly [key: string]: unknown;
}

/** The models of a `GET /models` response, without duplicates; null if it is not such a list. */
export function listedModels(text: string): ListedModel[] | null {
  let answer: unknown;
  try {
    answer = JSON.parse(text);
  } catch {
    return null;
  }
  // Together's list is the array itself.
  const entries: unknown = Array.isArray(answer) ? answer : (answer as { data?: unknown } | null)?.data;
  if (!Array.isArray(entries)) return null;
  const found = new Map<string, ListedModel>();
  for (const entry of entries.slice(0, MAX_MODELS) as (Entry | null)[]) {
    const id = entry?.id ?? entry?.name;
    if (entry === null || typeof id !== "string" || !ID.test(id) || found.has(id)) continue;
    found.set(id, { id, kind: kindOf(id, entry), contextTokens: contextOf(entry) });
  }
  return [...found.values()];
}

/** Parts of names by kind of model; null: not supported here. */
const NAMES: readonly (readonly [pattern: RegExp, kind: ModelKind | null])[] = [
  [/rerank/i, "rerank"],
  [/embed|minilm|\bbge\b|\be5\b|\bgte\b/i, "embedding"],
  [/dall-e|gpt-image|\bflux\b|stable-diffusion/i, "image"],
  [/moderation/i, "moderation"],
  [/realtime|\baudio\b|sora|veo|guard|\bocr\b/i, null],
  [/whisper|transcri/i, "transcription"],
  [/\btts\b|orpheus/i, "speech"],
];

/** Terms of APIs for a model's purpose. */
const TYPES: Readonly<Record<string, ModelKind | null>> = {
  chat: "chat",
  language: "chat",
  llm: "chat",
  vlm: "chat",
  code: "chat",
  completion: "chat",
  base: "chat",
  embedding: "embedding",
  embeddings: "embedding",
  image: "image",
  video: null,
  audio: "speech",
  moderation: "moderation",
  rerank: "rerank",
  transcribe: "transcription",
};

function kindOf(id: string, { kind, type, capabilities, architecture }: Entry): ModelKind | null {
  for (const word of [kind, type])
    if (typeof word === "string" && Object.hasOwn(TYPES, word)) return TYPES[word] ?? null;
  const outputs = architecture?.output_modalities;
  if (Array.isArray(outputs))
    return outputs.includes("embeddings") ? "embedding" : outputs.includes("text") ? "chat" : null;
  if ((capabilities as { completion_chat?: unknown } | null | undefined)?.completion_chat === true) return "chat";
  return byName(id);
}

/** The kind of a model, as far as its name indicates. */
export const byName = (id: string): ModelKind | null => {
  const found = NAMES.find(([pattern]) => pattern.test(id));
  return found === undefined ? "chat" : found[1];
};

/** Of vLLM, OpenRouter, Groq, Mistral, LM Studio, and of a daemon like this one. */
const CONTEXT_KEYS = [
  "max_model_len",
  "context_length",
  "context_window",
  "max_context_length",
  "loaded_context_length",
];

function contextOf(entry: Entry): number | null {
  const meta = entry["meta"] as { n_ctx?: unknown } | null | undefined;
  const stated = [...CONTEXT_KEYS.map((key) => entry[key]), meta?.n_ctx];
  const tokens = stated.find((value) => typeof value === "number" && Number.isSafeInteger(value) && value > 0);
  return (tokens as number | undefined) ?? null;
}
