import { AssistantError } from "../../core/errors.ts";
import type { InferenceCall } from "../../core/inference.ts";
import { type AnswerFacts, NO_FACTS } from "../../core/upstream.ts";
import { ChunkDecoder } from "./chunked.ts";
import { type Framing, type Receiver, truncated, type Verdict } from "./receivers.ts";

/** A request of llama-server's /v1/rerank: one query and texts. */
export interface Ranking {
  readonly query: unknown;
  readonly documents: readonly unknown[];
  /** The index of each document in the client's request. */
  readonly places: readonly number[];
}

/** The rankings that answer a call: one, except for pairs of texts, where each different text is a query. */
export function rankingsOf({ wire, body: { json } }: InferenceCall): readonly Ranking[] {
  if (wire === "jina.rerank") {
    const documents = listOf(json["documents"]).map(textOf);
    return [{ query: json["query"], documents, places: [...documents.keys()] }];
  }
  const queries = listOf(json["text_1"]);
  const byQuery = new Map<unknown, { documents: unknown[]; places: number[] }>();
  for (const [place, text] of listOf(json["text_2"]).entries()) {
    const query = queries.length === 1 ? queries[0] : queries[place];
    const ranking = byQuery.get(query) ?? { documents: [], places: [] };
    byQuery.set(query, ranking);
    ranking.documents.push(text);
    ranking.places.push(place);
  }
  return [...byQuery].map(([query, ranking]) => ({ query, ...ranking }));
}

export interface Ranked {
  /** Index in the ranked texts. */
  readonly index: number;
  readonly relevance_score: number;
}

export interface RankingAnswer {
  readonly model: unknown;
  readonly promptTokens: number | null;
  readonly results: readonly Ranked[];
}

/** Far more than the scores of the maximum number of documents. */
const MAX_ANSWER_BYTES = 8 * 2 ** 20;

/** Collects llama-server's answer to one ranking. Nothing of it goes to the sink. */
export class RankingReceiver implements Receiver {
  readonly #model: string;
  readonly #decoder: ChunkDecoder | null;
  readonly #parts: Buffer[] = [];
  #left: number;
  #bytes = 0;
  /** Null until it is complete. */
  answer: RankingAnswer | null = null;

  constructor(model: string, framing: Framing) {
    this.#model = model;
    this.#decoder = framing.type === "chunked" ? new ChunkDecoder() : null;
    this.#left = framing.type === "length" ? framing.bytes : Number.POSITIVE_INFINITY;
  }

  get begun(): boolean {
    return this.answer !== null;
  }

  body(bytes: Buffer): Verdict {
    for (const piece of this.#decoder?.push(bytes) ?? [bytes]) {
      this.#parts.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#bytes > MAX_ANSWER_BYTES) throw this.#unusable();
    this.#left -= bytes.length;
    if (!this.#decoder?.done && this.#left > 0) return "more";
    this.#finish();
    return "done";
  }
  closed(): void {
    if (this.#decoder !== null || this.#left < Number.POSITIVE_INFINITY) throw truncated();
    this.#finish();
  }
  facts(): AnswerFacts {
    return { ...NO_FACTS, promptTokens: this.answer?.promptTokens ?? null };
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}

  #finish(): void {
    const parsed = parse(Buffer.concat(this.#parts));
    const results = parsed?.results?.filter(isRanked);
    if (results === undefined || results.length !== parsed?.results?.length) throw this.#unusable();
    const tokens = parsed.usage?.prompt_tokens;
    this.answer = { model: parsed.model, promptTokens: typeof tokens === "number" ? tokens : null, results };
  }

  #unusable(): AssistantError {
    return new AssistantError(
      "engine_error",
      `The engine of "${this.#model}" did not answer with a score for each document.`,
    );
  }
}

/** The answer in the client's wire format, from the rankings. */
export const rankedAnswer = (call: InferenceCall, ranked: RankingAnswer): object =>
  call.wire === "vllm.score" ? scored(call, ranked) : reranked(call, ranked);

function reranked({ id, body: { json } }: InferenceCall, { model, promptTokens, results }: RankingAnswer): object {
  const documents = listOf(json["documents"]);
  const most = typeof json["top_n"] === "number" ? json["top_n"] : results.length;
  const ranked = [...results].sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index);
  const returned = (index: number): object => {
    const document = documents[index];
    return { document: typeof document === "string" ? { text: document } : document };
  };
  return {
    ...{ id, object: "list", model, usage: usageOf(promptTokens) },
    results: ranked.slice(0, most).map(({ index, relevance_score }) => ({
      index,
      relevance_score,
      ...(json["return_documents"] === true ? returned(index) : {}),
    })),
  };
}

const scored = ({ id }: InferenceCall, { model, promptTokens, results }: RankingAnswer): object => ({
  ...{ id, object: "list", created: Math.floor(Date.now() / 1000), model },
  data: [...results]
    .sort((a, b) => a.index - b.index)
    .map(({ index, relevance_score: score }) => ({ index, object: "score", score })),
  usage: usageOf(promptTokens),
});

const usageOf = (promptTokens: number | null): object | undefined =>
  promptTokens === null ? undefined : { prompt_tokens: promptTokens, total_tokens: promptTokens };

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);
const textOf = (document: unknown): unknown =>
  typeof document === "object" && document !== null ? (document as { readonly text?: unknown }).text : document;

// NaN is null in JSON.
const isRanked = (result: Partial<Ranked>): result is Ranked =>
  Number.isInteger(result.index) && typeof result.relevance_score === "number";

interface WrittenAnswer {
  readonly model?: unknown;
  readonly usage?: { readonly prompt_tokens?: unknown };
  readonly results?: readonly Partial<Ranked>[];
}

function parse(bytes: Buffer): WrittenAnswer | null {
  try {
    return JSON.parse(bytes.toString()) as WrittenAnswer | null;
  } catch {
    return null;
  }
}
