import { type LlamaModel, LlamaVocabularyType } from "node-llama-cpp";
import type { WorkerConfig } from "./config.ts";
import { contextExceeded, invalid } from "./errors.ts";
import { type Body, nameOfType, textOf } from "./fields.ts";
import { Serial } from "./serial.ts";
import type { HeldSlot } from "./slots.ts";

export interface Ranker {
  /** The model's own score of a document, not a probability, and how many tokens it was computed from. */
  rank(query: string, document: string, signal: AbortSignal): Promise<{ score: number; tokens: number }>;
}

/** Architectures whose score is a probability already, in llama.cpp and so in node-llama-cpp. */
const PROBABILITIES: ReadonlySet<string> = new Set(["qwen3", "qwen3vl"]);

export async function loadRanker(model: LlamaModel, config: WorkerConfig): Promise<Ranker> {
  if (config.pooling !== null && config.pooling !== "rank")
    throw new Error(`pooling is "${config.pooling}", but a reranking model ranks. Remove the setting.`);
  const template = templateOf(model);
  const context = await model.createRankingContext({
    // One more than fits: node-llama-cpp keeps a place for a token that a score never generates.
    contextSize: config.contextTokens + 1,
    batchSize: config.contextTokens + 1,
    threads: config.threads,
    ignoreMemorySafetyChecks: true,
    ...(template === null ? {} : { template }),
  });
  const serial = new Serial();
  return {
    rank: (query, document, signal) =>
      serial.run(signal, async () => {
        const tokens = context.calculateInputLength(query, document);
        if (tokens > config.contextTokens) throw contextExceeded(tokens, config.contextTokens);
        const probability = await context.rank(query, document);
        return { score: PROBABILITIES.has(model.architecture) ? probability : logit(probability), tokens };
      }),
  };
}

/** node-llama-cpp gives the sigmoid of the score. */
const logit = (probability: number): number =>
  Math.log(probability) - Math.log(Math.max(1 - probability, Number.EPSILON / 2));

/**
 * What llama-server makes of a query and a document where the model has no template for it: node-llama-cpp's own order
 * of marks is another, and so would the scores be. Null: the model has its template.
 */
function templateOf({
  tokens,
  vocabularyType,
  fileInfo: { metadata },
}: LlamaModel): `${string}{{query}}${string}{{document}}${string}` | null {
  if (metadata.tokenizer?.["chat_template.rerank"] !== undefined) return null;
  const { add_sep_token: adds } = metadata.tokenizer.ggml as { readonly add_sep_token?: boolean };
  const first = tokens.shouldPrependBosToken ? (tokens.bosString ?? "") : "";
  const last = tokens.shouldAppendEosToken ? (tokens.eosString ?? tokens.sepString ?? "") : "";
  const between = (adds ?? vocabularyType === LlamaVocabularyType.wpm) ? (tokens.sepString ?? "") : "";
  return `${first}{{query}}${last}${between}{{document}}${last}`;
}

/** Answers `POST /v1/rerank`. */
export async function rankingResponse(
  ranker: Ranker,
  body: Body,
  held: HeldSlot,
  model: string,
  signal: AbortSignal,
): Promise<object> {
  const query = textOf(body, "query");
  if (query === null) throw invalid("'query' is required");
  const documents = documentsOf(body);
  const results: object[] = [];
  let promptTokens = 0;
  for (const [index, document] of documents.entries()) {
    const { score, tokens } = await ranker.rank(query, document, signal);
    promptTokens += tokens;
    held.work.promptProcessed = promptTokens;
    results.push({ index, relevance_score: score });
  }
  return {
    model: textOf(body, "model") ?? model,
    object: "list",
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
    results,
  };
}

function documentsOf({ documents }: Body): readonly string[] {
  if (!Array.isArray(documents) || documents.length === 0)
    throw invalid(`Field 'documents': must be a list of texts, but is ${nameOfType(documents)}`);
  const odd: unknown = documents.find((document) => typeof document !== "string");
  if (odd !== undefined) throw invalid(`Field 'documents': must hold texts, but has ${nameOfType(odd)}`);
  return documents as string[];
}
