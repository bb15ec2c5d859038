import { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import type { Operation } from "../../core/model.ts";
import type { AnswerFacts } from "../../core/upstream.ts";
import { ChunkDecoder, endsBody } from "./chunked.ts";
import { engineError } from "./engine-error.ts";
import { SOUND_TYPES, SoundMeter } from "./sound.ts";
import { readFacts, Tail } from "./tail.ts";

/** How the end of a body is marked: by chunks, a length, or the end of the connection. */
export type Framing =
  | { readonly type: "chunked" }
  | { readonly type: "length"; readonly bytes: number }
  | { readonly type: "until-close" };

/** The parts of an answer's head that decide how its body is received. */
export interface AnswerHead {
  readonly status: number;
  readonly contentType: string;
  readonly framing: Framing;
}

/** What happened to the bytes just received. `pause`: the sink is slower than the target. */
export type Verdict = "more" | "pause" | "done";

/** Receives the body of one answer into a sink. One is created for each answer. */
export interface Receiver {
  body(bytes: Buffer): Verdict;
  /** Whether part of the answer itself has been seen: engines send comments and progress before it. */
  readonly begun: boolean;
  /** The target has closed the connection before `done`: returns if that is a regular end, throws otherwise. */
  closed(): void;
  facts(): AnswerFacts;
  /** Whether the bytes sent so far end between two events, so that another may be appended to a broken stream. */
  betweenEvents(): boolean;
  dispose(): void;
}

export interface AnswerTarget {
  readonly sink: AnswerSink;
  /** Headers of the answer, except those of its content. */
  readonly headers: readonly string[];
  /** Named in messages. */
  readonly model: string;
  /** The field of the request that a message is about. */
  readonly operation: Operation;
  /** Context of one slot of the model; missing or 0: unknown. */
  readonly contextTokens?: number;
}

// Proxies must not buffer tokens, and nothing may cache an answer.
export const SSE_HEADERS = ["Cache-Control", "no-cache", "X-Accel-Buffering", "no"];

/**
 * Throws `engine_error` for a content type that the operation does not have: JSON, an event stream, and for audio also
 * sound and text.
 */
export function receiverFor(head: AnswerHead, target: AnswerTarget): Receiver {
  const { sink, headers, model } = target;
  const { status, framing } = head;
  if (status !== 200) return new ErrorAnswer(status, framing, target);
  // whisper.cpp's server labels a plain text transcript as HTML.
  const contentType = HEARING.has(target.operation)
    ? head.contentType.replace(/^text\/html\b/, PLAIN)
    : head.contentType;
  const streams = contentType.startsWith("text/event-stream");
  // The client's head will contain it, where no other characters are allowed.
  const isWritable = /^[\x20-\x7e]*$/.test(contentType);
  const isJson = contentType.startsWith("application/json");
  const isSound = !streams && AUDIO.has(target.operation) && (isJson || SOUND_TYPES.test(contentType));
  if (!isWritable || !(streams || isJson || isSound)) {
    throw new AssistantError(
      "engine_error",
      `The engine of "${model}" answered with the content type ${JSON.stringify(contentType.slice(0, 100))}.`,
    );
  }
  const all = streams
    ? ["Content-Type", contentType, ...SSE_HEADERS, ...headers]
    : ["Content-Type", contentType, ...headers];
  if (isSound) return new Reframed(sink, framing, all, false, new SoundMeter(contentType));
  if (framing.type === "length" && sink.status === null) return new FixedLength(sink, framing.bytes, all);
  return framing.type === "chunked" && sink.takesFramed
    ? new RawChunks(sink, all)
    : new Reframed(sink, framing, all, streams);
}

/** Operations whose answers are audio, or text of types other than JSON. */
export const AUDIO: ReadonlySet<Operation> = new Set(["speech", "transcription", "translation"]);
const HEARING: ReadonlySet<Operation> = new Set(["transcription", "translation"]);
const PLAIN = "text/plain";
/** Whether an event other than prompt progress begins or continues here. Within JSON text every quote is escaped. */
const hasAnswer = (bytes: Buffer): boolean => bytes.includes("data:") && !bytes.includes('"prompt_progress":');
const NOTHING: Buffer = Buffer.alloc(0);
/** Of an object or, for llama.cpp, a list. */
const JSON_ENDS = Buffer.from("}]");
const endsWith = (bytes: Buffer, ending: string): boolean =>
  bytes.length === 0 || bytes.toString("latin1", Math.max(0, bytes.length - ending.length)) === ending;
const verdict = (flowing: boolean): Verdict => (flowing ? "more" : "pause");

export const truncated = (): AssistantError =>
  new AssistantError("engine_lost", "The engine exited in the middle of its answer.", {
    remedy: "Try again; `assistant ps` shows the instance.",
  });

/** The fast path: chunks pass through with their framing, without being decoded. */
class RawChunks implements Receiver {
  readonly #sink: AnswerSink;
  readonly #headers: readonly string[];
  readonly #tail = new Tail();
  begun = false;

  constructor(sink: AnswerSink, headers: readonly string[]) {
    this.#sink = sink;
    this.#headers = headers;
  }

  body(bytes: Buffer): Verdict {
    // Only now: an engine that sends nothing but a head has not shown that it answers.
    if (this.#sink.status === null) this.#sink.head(200, this.#headers);
    this.begun ||= hasAnswer(bytes);
    this.#tail.push(bytes);
    if (!this.#tail.endsBody()) return verdict(this.#sink.framed(bytes));
    this.#sink.endFramed(bytes);
    return "done";
  }
  closed(): void {
    throw truncated();
  }
  facts(): AnswerFacts {
    return readFacts(this.#tail.bytes());
  }
  betweenEvents(): boolean {
    // The end of an event that is also the end of a chunk.
    return endsWith(this.#tail.bytes(), "\n\n\r\n");
  }
  dispose(): void {
    this.#tail.release();
  }
}

/** A body with a content length, as in most answers that are not streamed. */
class FixedLength implements Receiver {
  readonly #sink: AnswerSink;
  readonly #headers: readonly string[];
  readonly #length: number;
  readonly #tail = new Tail();
  readonly begun = true;
  #opening = NOTHING;
  #left: number;

  constructor(sink: AnswerSink, length: number, headers: readonly string[]) {
    this.#sink = sink;
    this.#headers = headers;
    this.#length = length;
    this.#left = length;
  }

  body(bytes: Buffer): Verdict {
    const mine = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= mine.length;
    this.#tail.push(mine);
    if (this.#opening.length === 0) this.#opening = mine.subarray(0, 1024);
    // Held until complete: half an object can still be replaced by an error that the client understands.
    if (this.#left === 0 && this.#sink.status === null && !JSON_ENDS.includes(mine[mine.length - 1] ?? 0)) {
      throw new AssistantError("engine_error", "The engine's answer is not complete JSON.");
    }
    this.#sink.head(200, this.#headers, this.#length);
    if (this.#left > 0) return verdict(this.#sink.chunk(mine));
    this.#sink.end(mine);
    return "done";
  }
  closed(): void {
    throw truncated();
  }
  facts(): AnswerFacts {
    const facts = readFacts(this.#tail.bytes());
    // Embeddings report their usage before the vectors, not after them.
    return facts.promptTokens === null && this.#opening.length > 0 ? readFacts(this.#opening) : facts;
  }
  betweenEvents(): boolean {
    return false;
  }
  dispose(): void {
    this.#tail.release();
  }
}

/**
 * For sinks without chunk framing, targets that end by closing, answers whose head was already sent by a keep-alive
 * comment, and audio.
 */
class Reframed implements Receiver {
  readonly #sink: AnswerSink;
  readonly #headers: readonly string[];
  readonly #tail = new Tail();
  readonly #decoder: ChunkDecoder | null;
  readonly #endsByClosing: boolean;
  readonly #sound: SoundMeter | null;
  begun: boolean;
  #left: number;
  #isOpen = false;

  constructor(
    sink: AnswerSink,
    framing: Framing,
    headers: readonly string[],
    streams: boolean,
    sound: SoundMeter | null = null,
  ) {
    this.#sound = sound;
    this.begun = !streams;
    this.#sink = sink;
    this.#headers = headers;
    this.#decoder = framing.type === "chunked" ? new ChunkDecoder() : null;
    this.#left = framing.type === "length" ? framing.bytes : Number.POSITIVE_INFINITY;
    this.#endsByClosing = framing.type === "until-close";
  }

  body(bytes: Buffer): Verdict {
    if (!this.#isOpen) this.#sink.head(200, this.#headers);
    this.#isOpen = true;
    let flowing = true;
    const pieces = this.#decoder?.push(bytes) ?? [bytes.subarray(0, Math.min(bytes.length, this.#left))];
    // What arrived together is passed on together.
    const piece = pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
    if (piece.length > 0) {
      this.#left -= piece.length;
      this.begun ||= hasAnswer(piece);
      this.#tail.push(piece);
      this.#sound?.push(piece);
      flowing = this.#sink.chunk(piece);
    }
    if (!(this.#decoder?.done || this.#left === 0)) return verdict(flowing);
    this.#sink.end();
    return "done";
  }
  closed(): void {
    if (!this.#endsByClosing || this.#sink.status === null) throw truncated();
    this.#sink.end();
  }
  facts(): AnswerFacts {
    const tail = this.#tail.bytes();
    return this.#sound === null ? readFacts(tail) : this.#sound.facts(tail, this.#decoder?.trailers);
  }
  betweenEvents(): boolean {
    return this.#sound === null && endsWith(this.#tail.bytes(), "\n\n");
  }
  dispose(): void {
    this.#tail.release();
  }
}

const MAX_ERROR_BYTES = 256 * 1024;

/** Collects an error response and throws it as one of the catalogue. */
class ErrorAnswer implements Receiver {
  readonly #status: number;
  readonly #framing: Framing;
  readonly #target: AnswerTarget;
  readonly begun = false;
  #bytes = NOTHING;

  constructor(status: number, framing: Framing, target: AnswerTarget) {
    this.#status = status;
    this.#framing = framing;
    this.#target = target;
  }

  body(bytes: Buffer): Verdict {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const { type } = this.#framing;
    const complete =
      type === "chunked"
        ? endsBody(this.#bytes)
        : this.#framing.type === "length" && this.#bytes.length >= this.#framing.bytes;
    if (complete || this.#bytes.length > MAX_ERROR_BYTES) this.closed();
    return "more";
  }
  closed(): void {
    const payload =
      this.#framing.type === "chunked" ? Buffer.concat(new ChunkDecoder().push(this.#bytes)) : this.#bytes;
    throw engineError(this.#status, payload.toString(), this.#target);
  }
  facts(): AnswerFacts {
    return readFacts(NOTHING);
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}
}
