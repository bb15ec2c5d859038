import type { LlamaModel, Token } from "node-llama-cpp";
import type { WorkerConfig } from "./config.ts";
import { contextExceeded, invalid, unsupported } from "./errors.ts";
import { type Body, nameOfType, textOf } from "./fields.ts";
import { Serial } from "./serial.ts";
import type { HeldSlot } from "./slots.ts";

export interface Embedder {
  readonly contextTokens: number;
  /** The unit vector of one input, and how many tokens it had. One at a time: a context has one sequence. */
  embed(input: EmbeddingInput, signal: AbortSignal): Promise<{ vector: readonly number[]; tokens: number }>;
}

type EmbeddingInput = string | Token[];

/** Names of GGUF's `pooling_type`. */
const poolings = ["none", "mean", "cls", "last", "rank"];

/**
 * Throws when the configuration asks for a pooling other than the model's own, which is the only one this engine can
 * do.
 */
export async function loadEmbedder(model: LlamaModel, config: WorkerConfig): Promise<Embedder> {
  const own = poolingOf(model);
  if (config.pooling !== null && config.pooling !== own) {
    throw new Error(
      `pooling is "${config.pooling}", but the embedded engine can only do the model's own, which is "${own}". Remove the setting or use llama-server.`,
    );
  }
  if (own === "none" || own === "rank")
    throw new Error(
      `the model's pooling is "${own}": the embedded engine cannot compute one vector per text with it. Use llama-server.`,
    );
  const context = await model.createEmbeddingContext({
    // One more than fits: node-llama-cpp keeps a place for a token that an embedding never generates.
    contextSize: config.contextTokens + 1,
    batchSize: config.contextTokens + 1,
    threads: config.threads,
    ignoreMemorySafetyChecks: true,
  });
  const serial = new Serial();
  return {
    contextTokens: config.contextTokens,
    embed: (input, signal) =>
      serial.run(signal, async () => {
        const tokens = context.calculateInputLength(input);
        if (tokens > config.contextTokens) throw contextExceeded(tokens, config.contextTokens);
        const { vector } = await context.getEmbeddingFor(input);
        return { vector: normalized(vector), tokens };
      }),
  };
}

function poolingOf(model: LlamaModel): string {
  const metadata = model.fileInfo.metadata as Readonly<Record<string, { readonly pooling_type?: number } | undefined>>;
  return poolings[metadata[model.architecture]?.pooling_type ?? 0] ?? "none";
}

function normalized(vector: readonly number[]): number[] {
  const length = Math.hypot(...vector);
  return length === 0 ? [...vector] : vector.map((value) => value / length);
}

/** Answers `POST /v1/embeddings`. */
export async function embeddingsResponse(
  embedder: Embedder,
  body: Body,
  held: HeldSlot,
  model: string,
  signal: AbortSignal,
): Promise<object> {
  const format = textOf(body, "encoding_format") ?? "float";
  if (format !== "float" && format !== "base64")
    throw invalid('Field \'encoding_format\': must be "float" or "base64"');
  if (body.dimensions !== undefined && body.dimensions !== null) throw unsupported("`dimensions`");
  const inputs = embeddingInputs(body);
  const data: object[] = [];
  let promptTokens = 0;
  for (const [index, input] of inputs.entries()) {
    const { vector, tokens } = await embedder.embed(input, signal);
    promptTokens += tokens;
    held.work.promptProcessed = promptTokens;
    data.push({
      object: "embedding",
      index,
      embedding: format === "float" ? vector : Buffer.from(Float32Array.from(vector).buffer).toString("base64"),
    });
  }
  return {
    model: textOf(body, "model") ?? model,
    object: "list",
    usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
    data,
  };
}

function embeddingInputs(body: Body): EmbeddingInput[] {
  const input = body.input ?? body.content;
  if (input === undefined || input === null) throw invalid("'input' is required");
  const isTokens = (value: unknown): value is Token[] =>
    Array.isArray(value) && value.length > 0 && value.every(Number.isInteger);
  const list: unknown[] = Array.isArray(input) && !isTokens(input) ? input : [input];
  if (list.length === 0) throw invalid("Field 'input': must not be empty");
  return list.map((item) => {
    if (item === "") throw invalid("Field 'input': must not hold an empty text");
    if (typeof item === "string" || isTokens(item)) return item;
    throw invalid(
      `Field 'input': must be a string, a list of token ids or a list of these, but has ${nameOfType(item)}`,
    );
  });
}
