import { createParser } from "eventsource-parser";
import { AssistantError } from "../core/errors.ts";
import { callSocket, errorFromBody, explain } from "./unix-http.ts";

export interface ChatMessage {
  readonly role: "system" | "user" | "assistant";
  readonly content: string;
}

/** A chat request. For null fields, the model's own settings apply. */
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly temperature: number | null;
  readonly seed: number | null;
  readonly maxTokens: number | null;
  /** Id of the stored conversation to continue. */
  readonly conversation: string | null;
}

/** Token counts and durations (milliseconds) of an answer; null: not reported by the engine. */
export interface ChatTimings {
  readonly promptTokens: number | null;
  readonly cachedTokens: number | null;
  readonly completionTokens: number | null;
  readonly promptMs: number | null;
  readonly completionMs: number | null;
}

export type ChatEvent =
  /** The request is waiting in the queue or for the model to load; `note` says which. */
  | { readonly type: "waiting"; readonly note: string }
  | { readonly type: "text"; readonly text: string }
  | { readonly type: "done"; readonly finishReason: string | null; readonly timings: ChatTimings };

/** The parts of a chunk that are read; everything may be missing. */
interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null };
    readonly finish_reason?: string | null;
  }[];
  readonly usage?: {
    prompt_tokens?: number;
    completion_tokens?: number;
    prompt_tokens_details?: { cached_tokens?: number };
  } | null;
  readonly timings?: {
    prompt_n?: number;
    prompt_ms?: number;
    predicted_n?: number;
    predicted_ms?: number;
    cache_n?: number;
  };
  readonly error?: { message?: string; code?: string | number };
}

const NO_TIMINGS: ChatTimings = {
  promptTokens: null,
  cachedTokens: null,
  completionTokens: null,
  promptMs: null,
  completionMs: null,
};

/** Requests a streamed answer and yields it as it arrives. See `DaemonClient.chat`. */
export async function* streamChat(
  socketPath: string,
  request: ChatRequest,
  signal: AbortSignal,
): AsyncGenerator<ChatEvent> {
  const response = await callSocket({
    socketPath,
    method: "POST",
    path: "/v1/chat/completions",
    body: requestBody(request),
    signal,
    silenceMs: null,
  });
  const events: ChatEvent[] = [];
  const answer = new AnswerReader((event) => events.push(event));
  const parser = createParser({
    onEvent: (event) => answer.data(event.data),
    onComment: (comment) => events.push({ type: "waiting", note: comment.trim() }),
  });
  try {
    response.setEncoding("utf8");
    for await (const part of response) {
      parser.feed(part as string);
      yield* events.splice(0);
    }
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw explain(error as Error, socketPath);
  } finally {
    response.destroy();
  }
  yield answer.end();
}

function requestBody(request: ChatRequest): Record<string, unknown> {
  return {
    model: request.model,
    messages: request.messages,
    stream: true,
    stream_options: { include_usage: true },
    ...(request.conversation === null ? {} : { conversation: request.conversation }),
    ...(request.temperature === null ? {} : { temperature: request.temperature }),
    ...(request.seed === null ? {} : { seed: request.seed }),
    ...(request.maxTokens === null ? {} : { max_tokens: request.maxTokens }),
  };
}

/** Collects the parts of an answer's chunks other than the text. */
class AnswerReader {
  #finishReason: string | null = null;
  #timings: ChatTimings = NO_TIMINGS;
  #complete = false;
  readonly #emit: (event: ChatEvent) => void;

  constructor(emit: (event: ChatEvent) => void) {
    this.#emit = emit;
  }

  data(data: string): void {
    if (data === "[DONE]") {
      this.#complete = true;
      return;
    }
    const chunk = JSON.parse(data) as Chunk;
    if (chunk.error !== undefined) throw errorFromBody(502, data);
    const choice = chunk.choices?.[0];
    if (choice?.delta?.content) this.#emit({ type: "text", text: choice.delta.content });
    if (choice?.finish_reason) this.#finishReason = choice.finish_reason;
    this.#timings = mergeTimings(this.#timings, chunk);
  }

  end(): ChatEvent {
    if (!this.#complete && this.#finishReason === null) {
      throw new AssistantError("engine_lost", "The connection was closed before the answer was complete.", {
        remedy: "Try again; `assistant ps` shows what happened to the instance.",
      });
    }
    return { type: "done", finishReason: this.#finishReason, timings: this.#timings };
  }
}

function mergeTimings(known: ChatTimings, { usage, timings }: Chunk): ChatTimings {
  return {
    promptTokens: usage?.prompt_tokens ?? known.promptTokens,
    cachedTokens: usage?.prompt_tokens_details?.cached_tokens ?? timings?.cache_n ?? known.cachedTokens,
    completionTokens: usage?.completion_tokens ?? timings?.predicted_n ?? known.completionTokens,
    promptMs: timings?.prompt_ms ?? known.promptMs,
    completionMs: timings?.predicted_ms ?? known.completionMs,
  };
}
