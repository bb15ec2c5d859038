import { createParser, type EventSourceParser } from "eventsource-parser";
import { AssistantError } from "../../core/errors.ts";
import type { InferenceCall, JsonObject } from "../../core/inference.ts";
import type { InstanceTraits } from "../../core/instance.ts";
import type { ModelSpec } from "../../core/model.ts";
import type { AnswerFacts } from "../../core/upstream.ts";
import { Aggregate } from "../answer/aggregate.ts";
import { ChunkDecoder } from "../answer/chunked.ts";
import { engineErrorOf } from "../answer/engine-error.ts";
import { LegacyLogprobs } from "../answer/legacy-logprobs.ts";
import {
  type AnswerTarget,
  type Framing,
  type Receiver,
  SSE_HEADERS,
  truncated,
  type Verdict,
} from "../answer/receivers.ts";
import { readFacts, Tail } from "../answer/tail.ts";
import { Tally } from "../answer/tally.ts";
import { asksUsage, isLlamaCpp } from "../openai-body.ts";
import { type GapEvent, type GapHead, gapBody, gapChunk, gapHeadOf } from "./gap.ts";

/**
 * Makes an engine stream whatever the client requested. Parts that the client did not request are removed from the
 * stream, or the stream is assembled into one answer. Used if
 * - the engine is a stock llama-server, which only notices a disconnect when it has something to write: it sends a
 *   progress event for every batch of the prompt;
 * - there are several answers, which the engine counts separately, starting with an event of `null`;
 * - a text completion has `logprobs`, which the engine returns in a chat's format;
 * - a text completion has a `suffix`: llama-server's own route for infill has its own format;
 * - a chat continues its last message, which llama-server repeats in answers that are not streamed.
 */
export interface Drive {
  readonly operation: "chat" | "completion";
  /** The client requested a stream. */
  readonly streamed: boolean;
  /** The client requested usage in the stream. */
  readonly wantsUsage: boolean;
  /** The client requested progress events. */
  readonly wantsProgress: boolean;
  /** Number of answers to each prompt if there are several; null: there is one. */
  readonly answersPerPrompt: number | null;
  /** Alternatives in the `logprobs` of a text completion; null: not requested. */
  readonly logprobs: number | null;
  /** The head of the chunks of an infill answer; null: it is not one. */
  readonly gap: GapHead | null;
  /** The answer continues the last message, an assistant's. */
  readonly continues: boolean;
}

/** Null if the engine's own answer is what the client requested. */
export function driveOf(
  call: InferenceCall,
  model: ModelSpec,
  { noticesDisconnects }: Pick<InstanceTraits, "noticesDisconnects">,
): Drive | null {
  const { operation, streamed, wire } = call;
  const { json } = call.body;
  if ((operation !== "chat" && operation !== "completion") || isLlamaCpp(wire)) return null;
  const answersPerPrompt = Number(json["n_cmpl"] ?? json["n"] ?? 1);
  const isSingle = answersPerPrompt * promptCount(call) === 1;
  const logprobs = operation === "completion" && typeof json["logprobs"] === "number" ? json["logprobs"] : null;
  const gap = operation === "completion" ? gapHeadOf(call, model) : null;
  const continues = operation === "chat" && continuesMessage(json);
  if (noticesDisconnects && isSingle && logprobs === null && gap === null && !continues) return null;
  return {
    ...{ operation, streamed, logprobs, gap, continues },
    wantsUsage: asksUsage(call) || model.includeUsage,
    wantsProgress: json["return_progress"] === true,
    answersPerPrompt: isSingle ? null : answersPerPrompt,
  };
}

function promptCount({ operation, body: { json } }: InferenceCall): number {
  const { prompt } = json;
  return operation === "completion" && Array.isArray(prompt) && typeof prompt[0] !== "number" ? prompt.length : 1;
}

function continuesMessage({ messages, add_generation_prompt: startsAnew }: JsonObject): boolean {
  const last = Array.isArray(messages) ? (messages.at(-1) as JsonObject | undefined) : undefined;
  const calls = last?.["tool_calls"];
  return last?.["role"] === "assistant" && !(Array.isArray(calls) && calls.length > 0) && startsAnew !== true;
}

/** The engine's request: a stream with usage and progress. */
export function driveBody(body: JsonObject, { logprobs, gap, continues }: Drive): JsonObject {
  if (gap !== null) return gapBody(body);
  const options =
    typeof body["stream_options"] === "object" && body["stream_options"] !== null ? body["stream_options"] : {};
  // Without alternatives, it would return no probabilities at all.
  const more = logprobs === 0 ? { logprobs: 1 } : {};
  // By itself, it would also continue the message, but repeat it.
  const continued = continues
    ? { add_generation_prompt: false, continue_final_message: body["continue_final_message"] || true }
    : {};
  return {
    ...{ ...body, ...more, ...continued, stream: true, return_progress: true },
    stream_options: { ...options, include_usage: true },
  };
}

/**
 * Throws `invalid_request` if a request names a slot of a stock llama-server: it loads a cached prompt over the state
 * of the request in that slot.
 */
export function refuseSlot(body: JsonObject): void {
  if (typeof body["id_slot"] !== "number" || body["id_slot"] < 0) return;
  throw new AssistantError(
    "invalid_request",
    "`id_slot` cannot be used with this engine, a llama-server not built by Assistant.",
    {
      param: "id_slot",
      remedy: "Omit it: the slot is chosen automatically; or run `assistant engine build`.",
    },
  );
}

/**
 * Throws `invalid_request` if a stock llama-server would continue an answer in one piece after its client has
 * disconnected: in its own format it is not driven.
 */
export function refuseWhole({ wire, operation, streamed }: InferenceCall): void {
  if (!isLlamaCpp(wire) || operation !== "completion" || streamed) return;
  throw new AssistantError(
    "invalid_request",
    "`stream` must be true with this engine, a llama-server not built by Assistant.",
    { param: "stream", remedy: "Ask for a stream, use /v1/completions, or run `assistant engine build`." },
  );
}

/**
 * Throws `invalid_request` if a request chooses adapters on a stock llama-server: prompts cached with them would be
 * used for requests without them.
 */
export function refuseAdapters({ lora }: JsonObject): void {
  if (!Array.isArray(lora) || lora.length === 0) return;
  throw new AssistantError(
    "invalid_request",
    "`lora` cannot be used with this engine, a llama-server not built by Assistant.",
    {
      param: "lora",
      remedy: "Omit it to use the scales in the model's file, or run `assistant engine build`.",
    },
  );
}

interface ParsedEvent {
  readonly error?: { readonly code?: unknown };
  readonly prompt_progress?: unknown;
  readonly choices?: readonly { readonly index?: number; readonly logprobs?: null }[];
  readonly usage?: object;
  readonly timings?: Readonly<Record<string, number>>;
}

type Chunk = Parameters<Aggregate["add"]>[0];

/** Receives the answer of an engine driven in this way. */
export class DrivenReceiver implements Receiver {
  readonly #drive: Drive;
  readonly #target: AnswerTarget;
  readonly #decoder: ChunkDecoder | null;
  readonly #parser: EventSourceParser;
  readonly #text = new TextDecoder("utf-8");
  readonly #aggregate: Aggregate;
  readonly #tail = new Tail();
  readonly #tally = new Tally();
  readonly #logprobs: LegacyLogprobs | null;
  /** The last event counted: the one with the totals resembles it. */
  #counted: ParsedEvent | null = null;
  begun = false;
  #finished = false;
  #flowing = true;

  constructor(drive: Drive, target: AnswerTarget, framing: Framing) {
    this.#drive = drive;
    this.#target = target;
    this.#decoder = framing.type === "chunked" ? new ChunkDecoder() : null;
    this.#aggregate = new Aggregate(drive.operation);
    this.#logprobs = drive.logprobs === null ? null : new LegacyLogprobs(drive.logprobs);
    this.#parser = createParser({ onEvent: (event) => this.#event(event.data) });
  }

  body(bytes: Buffer): Verdict {
    this.#flowing = true;
    for (const piece of this.#decoder?.push(bytes) ?? [bytes]) {
      this.#tail.push(piece);
      this.#parser.feed(this.#text.decode(piece, { stream: true }));
    }
    if (this.#decoder?.done) {
      this.closed();
      return "done";
    }
    return this.#flowing ? "more" : "pause";
  }

  closed(): void {
    if (!this.#finished) throw truncated();
    const { sink, headers } = this.#target;
    if (this.#drive.streamed) {
      sink.end();
      return;
    }
    const whole = this.#aggregate.result();
    if (whole === null) throw truncated();
    const json = Buffer.from(JSON.stringify(whole));
    sink.head(200, ["Content-Type", "application/json; charset=utf-8", ...headers], json.length);
    sink.end(json);
  }

  facts(): AnswerFacts {
    const facts = readFacts(this.#tail.bytes());
    return this.#counted === null ? facts : { ...facts, ...this.#tally.facts };
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {
    this.#tail.release();
  }

  #event(data: string): void {
    if (data === "[DONE]") {
      this.#finished = true;
      this.#sendSums();
      if (this.#drive.streamed) this.#send(data);
      return;
    }
    const sent = this.#parse(data);
    const { gap } = this.#drive;
    const parsed: ParsedEvent | null =
      gap === null || sent === null || sent.error !== undefined ? sent : gapChunk(gap, sent);
    // A stream with answers to several prompts begins like this.
    if (parsed === null) return;
    if (parsed.error !== undefined) {
      throw engineErrorOf(
        typeof parsed.error.code === "number" ? parsed.error.code : 500,
        parsed as { error: { message?: unknown } },
        this.#target,
      );
    }
    if (parsed.prompt_progress === undefined) this.begun = true;
    else if (!this.#drive.wantsProgress) return;
    const event = this.#rewritten(parsed);
    if (!this.#drive.streamed) this.#aggregate.add(event as Chunk);
    else if (event === sent && (event.usage === undefined || this.#drive.wantsUsage)) this.#send(data);
    // Usage that was not requested, or that is sent at the end: a separate chunk in a chat, a field of the last chunk
    // in a completion.
    else if (event.choices?.length !== 0)
      this.#send(JSON.stringify(this.#drive.wantsUsage ? event : { ...event, usage: undefined }));
    // llama-server's own format ends like this.
    if (gap !== null && (sent as GapEvent).stop === true) this.#event("[DONE]");
  }

  #rewritten(event: ParsedEvent): ParsedEvent {
    const logprobs = this.#logprobs;
    const choices = logprobs === null ? event.choices : event.choices?.map((choice) => logprobs.rewrite(choice));
    const { answersPerPrompt } = this.#drive;
    if (answersPerPrompt === null || event.usage === undefined)
      return choices === event.choices ? event : { ...event, ...(choices === undefined ? {} : { choices }) };
    this.#tally.add(Math.floor((event.choices?.[0]?.index ?? 0) / answersPerPrompt), event.usage, event.timings);
    this.#counted = event;
    const { usage: _, timings: __, ...rest } = event;
    return { ...rest, ...(choices === undefined ? {} : { choices }) };
  }

  /** The usage of several answers together, once. */
  #sendSums(): void {
    if (this.#counted === null) return;
    const { usage, timings } = this.#tally;
    const sums = { ...this.#counted, choices: [], usage, timings };
    if (!this.#drive.streamed) this.#aggregate.add(sums as Chunk);
    else if (this.#drive.wantsUsage) this.#send(JSON.stringify(sums));
  }

  #parse(data: string): ParsedEvent | null {
    try {
      return JSON.parse(data) as ParsedEvent | null;
    } catch {
      throw new AssistantError(
        "engine_error",
        `The engine of "${this.#target.model}" sent an event that is not JSON: ${JSON.stringify(data.slice(0, 80))}.`,
      );
    }
  }

  #send(data: string): void {
    const { sink, headers } = this.#target;
    sink.head(200, ["Content-Type", "text/event-stream", ...SSE_HEADERS, ...headers]);
    this.#flowing = sink.chunk(Buffer.from(`data: ${data}\n\n`)) && this.#flowing;
  }
}
