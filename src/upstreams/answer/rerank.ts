import { AssistantError } from "../../core/errors.ts";
import type { InferenceCall, JsonObject } from "../../core/inference.ts";
import { type AnswerFacts, NO_FACTS } from "../../core/upstream.ts";
import { ChunkDecoder } from "./chunked.ts";
import { type AnswerTarget, type Framing, type Receiver, truncated, type Verdict } from "./receivers.ts";

/** What llama-server's /v1/rerank is asked: it compares texts, and knows nothing of objects, of returned documents or of scores. */
export function rerankBody({ wire, body: { json } }: InferenceCall): JsonObject {
  if (wire === "vllm.score") {
    const { text_1: one, text_2: others } = json;
    return { model: json["model"], query: Array.isArray(one) ? one[0] : one, documents: listOf(others) };
  }
  return { model: json["model"], query: json["query"], documents: listOf(json["documents"]).map(textOf) };
}

interface Ranked {
  readonly index: number;
  readonly relevance_score: number;
}

interface RerankAnswer {
  readonly model?: unknown;
  readonly usage?: { readonly prompt_tokens?: unknown; readonly total_tokens?: unknown };
  readonly results?: readonly Partial<Ranked>[];
}

/** Far more than the scores of as many documents as a request may have. */
const MAX_ANSWER_BYTES = 8 * 2 ** 20;

/** Takes llama-server's answer to `rerankBody` and gives the client the one that its request's wire format has. */
export class RerankReceiver implements Receiver {
  readonly #call: InferenceCall;
  readonly #target: AnswerTarget;
  readonly #decoder: ChunkDecoder | null;
  readonly #parts: Buffer[] = [];
  #left: number;
  #bytes = 0;
  #facts: AnswerFacts = NO_FACTS;
  begun = false;

  constructor(call: InferenceCall, target: AnswerTarget, framing: Framing) {
    this.#call = call;
    this.#target = target;
    this.#decoder = framing.type === "chunked" ? new ChunkDecoder() : null;
    this.#left = framing.type === "length" ? framing.bytes : Number.POSITIVE_INFINITY;
  }

  body(bytes: Buffer): Verdict {
    for (const piece of this.#decoder?.push(bytes) ?? [bytes]) {
      this.#parts.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#bytes > MAX_ANSWER_BYTES) throw unusable(this.#target.model);
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
    return this.#facts;
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}

  #finish(): void {
    const { sink, headers, model } = this.#target;
    const answer = parsed(Buffer.concat(this.#parts));
    const results = answer?.results?.filter(isRanked);
    if (results === undefined || results.length !== answer?.results?.length) throw unusable(model);
    const { prompt_tokens: tokens } = answer.usage ?? {};
    this.#facts = { ...NO_FACTS, promptTokens: typeof tokens === "number" ? tokens : null };
    this.begun = true;
    const shaped =
      this.#call.wire === "vllm.score" ? scored(this.#call, answer, results) : reranked(this.#call, answer, results);
    const json = Buffer.from(JSON.stringify(shaped));
    sink.head(200, ["Content-Type", "application/json; charset=utf-8", ...headers], json.length);
    sink.end(json);
  }
}

function reranked({ id, body: { json } }: InferenceCall, { model, usage }: RerankAnswer, results: readonly Ranked[]) {
  const documents = listOf(json["documents"]);
  const most = typeof json["top_n"] === "number" ? json["top_n"] : results.length;
  const ranked = [...results].sort((a, b) => b.relevance_score - a.relevance_score || a.index - b.index);
  const returned = (index: number): object => {
    const document = documents[index];
    return { document: typeof document === "string" ? { text: document } : document };
  };
  return {
    id,
    object: "list",
    model,
    usage,
    results: ranked.slice(0, most).map(({ index, relevance_score }) => ({
      index,
      relevance_score,
      ...(json["return_documents"] === true ? returned(index) : {}),
    })),
  };
}

const scored = ({ id }: InferenceCall, { model, usage }: RerankAnswer, results: readonly Ranked[]): object => ({
  id,
  object: "list",
  created: Math.floor(Date.now() / 1000),
  model,
  data: [...results]
    .sort((a, b) => a.index - b.index)
    .map(({ index, relevance_score: score }) => ({ index, object: "score", score })),
  usage,
});

const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [value]);
const textOf = (document: unknown): unknown =>
  typeof document === "object" && document !== null ? (document as { readonly text?: unknown }).text : document;

// NaN, which a model without a head gives, is null in JSON.
const isRanked = (result: Partial<Ranked>): result is Ranked =>
  Number.isInteger(result.index) && typeof result.relevance_score === "number";

function parsed(bytes: Buffer): RerankAnswer | null {
  try {
    return JSON.parse(bytes.toString()) as RerankAnswer | null;
  } catch {
    return null;
  }
}

const unusable = (model: string): AssistantError =>
  new AssistantError("engine_error", `The engine of "${model}" did not answer with a score for each document.`);
