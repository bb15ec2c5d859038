import type { AssistantError } from "../../core/errors.ts";
import { type AnswerFacts, NO_FACTS } from "../../core/upstream.ts";
import { brokenOff, malformed } from "../http/failure.ts";
import type { AskedModel } from "./dialect.ts";
import type { FinishReason, StreamPart, Usage } from "./sdk.ts";
import { SignedThoughts } from "./signatures.ts";

/** One event of a streamed chat, as in OpenAI's API. */
export type Chunk = Readonly<Record<string, unknown>>;

export interface ChunkOptions {
  readonly asked: AskedModel;
  readonly id: string;
  /** Epoch seconds. */
  readonly created: number;
}

/** Converts the parts of one answer into OpenAI's chunks. Emits nothing before the answer itself begins. */
export class ChunkWriter {
  readonly #options: ChunkOptions;
  readonly #thoughts = new SignedThoughts();
  readonly #calls = new Map<string, { readonly index: number; hasInput: boolean }>();
  #begun = false;
  #facts: AnswerFacts | null = null;
  #usage: Chunk | null = null;

  constructor(options: ChunkOptions) {
    this.#options = options;
  }

  /** From the end of the answer; null: it has not arrived. */
  get facts(): AnswerFacts | null {
    return this.#facts;
  }

  /** The chunk with token counts, if requested; null: the provider has not reported them. */
  get usage(): Chunk | null {
    return this.#usage;
  }

  /** Throws `provider_error` for an invalid end, and for content that a chat cannot represent. */
  take(part: StreamPart): readonly Chunk[] {
    this.#thoughts.see(part);
    switch (part.type) {
      case "text-delta":
        return part.delta === "" ? [] : this.#delta({ content: part.delta });
      case "reasoning-delta":
        return part.delta === "" ? [] : this.#delta({ reasoning_content: part.delta });
      case "tool-input-start":
        return part.providerExecuted ? [] : this.#beginCall(part);
      case "tool-input-delta":
        return this.#input(part.id, part.delta);
      case "tool-call": {
        // Repeats what was streamed, unless a call without arguments streamed nothing.
        const call = this.#calls.get(part.toolCallId);
        return call === undefined || call.hasInput ? [] : this.#input(part.toolCallId, part.input);
      }
      case "finish":
        return this.#finish(part.finishReason, part.usage);
      case "file":
      case "reasoning-file":
        throw this.#error(`answered with a file of the type "${part.mediaType}", which a chat has no place for`);
      default:
        return [];
    }
  }

  #beginCall({ id, toolName, providerMetadata }: Extract<StreamPart, { type: "tool-input-start" }>): Chunk[] {
    const index = this.#calls.size;
    this.#calls.set(id, { index, hasInput: false });
    const extra = this.#thoughts.take(providerMetadata);
    const call = { index, id, type: "function", function: { name: toolName, arguments: "" } };
    return this.#delta({ tool_calls: [extra === null ? call : { ...call, extra_content: extra }] });
  }

  #input(id: string, text: string): Chunk[] {
    const call = this.#calls.get(id);
    if (call === undefined || text === "") return [];
    call.hasInput = true;
    return this.#delta({ tool_calls: [{ index: call.index, function: { arguments: text } }] });
  }

  #finish(reason: FinishReason, usage: Usage): Chunk[] {
    const finishReason = this.#reasonOf(reason);
    const begin = this.#begin("");
    this.#facts = factsOf(usage, finishReason);
    this.#usage = usageOf(usage, (rest) => this.#chunk([], rest));
    return [...begin, this.#chunk([{ index: 0, delta: {}, finish_reason: finishReason }])];
  }

  #reasonOf({ unified, raw }: FinishReason): string {
    switch (unified) {
      case "stop":
        return this.#calls.size > 0 ? "tool_calls" : "stop";
      case "length":
        return "length";
      case "content-filter":
        return "content_filter";
      case "tool-calls":
        return "tool_calls";
      case "other":
        // A reason unknown to this version: the answer so far is kept.
        if (this.#begun) return "stop";
        throw this.#error(`gave no answer and stopped for the reason ${JSON.stringify(raw ?? "unknown")}`);
      case "error":
        throw this.#error(`stopped its answer for the reason ${JSON.stringify(raw ?? "error")}`);
      case "interrupted":
        throw brokenOff(this.#options.asked.provider);
    }
  }

  #delta(delta: Chunk): Chunk[] {
    return [...this.#begin("content" in delta ? "" : null), this.#chunk([{ index: 0, delta, finish_reason: null }])];
  }

  #begin(content: "" | null): Chunk[] {
    if (this.#begun) return [];
    this.#begun = true;
    return [this.#chunk([{ index: 0, delta: { role: "assistant", content }, finish_reason: null }])];
  }

  #chunk(choices: readonly Chunk[], rest: Chunk = {}): Chunk {
    const { id, created, asked } = this.#options;
    return { id, object: "chat.completion.chunk", created, model: asked.model, choices, ...rest };
  }

  #error(what: string): AssistantError {
    return malformed(this.#options.asked, what, "Try again, or rephrase the prompt.");
  }
}

const factsOf = ({ inputTokens, outputTokens }: Usage, finishReason: string): AnswerFacts => ({
  ...NO_FACTS,
  promptTokens: inputTokens.total ?? null,
  cachedTokens: inputTokens.cacheRead ?? null,
  completionTokens: outputTokens.total ?? null,
  finishReason,
});

function usageOf({ inputTokens, outputTokens }: Usage, chunk: (rest: Chunk) => Chunk): Chunk | null {
  if (inputTokens.total === undefined || outputTokens.total === undefined) return null;
  return chunk({
    usage: {
      prompt_tokens: inputTokens.total,
      completion_tokens: outputTokens.total,
      total_tokens: inputTokens.total + outputTokens.total,
      prompt_tokens_details: { cached_tokens: inputTokens.cacheRead ?? 0 },
      completion_tokens_details: { reasoning_tokens: outputTokens.reasoning ?? 0 },
    },
  });
}
