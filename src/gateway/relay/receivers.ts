import { AssistantError } from "../../core/errors.ts";
import { ChunkDecoder, endsBody } from "./chunked.ts";
import type { ClientStream } from "./client-stream.ts";
import { engineError } from "./engine-error.ts";
import type { Framing } from "./head.ts";
import { type AnswerFacts, readFacts, Tail } from "./tail.ts";

/** What became of the bytes just received. `pause`: the client is slower than the engine. */
export type Verdict = "more" | "pause" | "done";

/** Takes the body of one engine answer. Exactly one is made per answer. */
export interface Receiver {
  body(bytes: Buffer): Verdict;
  /** Whether part of the answer itself has been seen: engines send comments and progress before it. */
  readonly begun: boolean;
  /** The engine has closed the connection before `done`: returns where that is the end, throws where it is not. */
  closed(): void;
  facts(): AnswerFacts;
  /** Whether the bytes sent so far end between two events, so that one more may be appended to a broken stream. */
  betweenEvents(): boolean;
  dispose(): void;
}

const NOTHING: Buffer = Buffer.alloc(0);
const endsWith = (bytes: Buffer, ending: string): boolean =>
  bytes.length === 0 || bytes.toString("latin1", Math.max(0, bytes.length - ending.length)) === ending;
const verdict = (flowing: boolean): Verdict => (flowing ? "more" : "pause");

export const truncated = (): AssistantError =>
  new AssistantError("engine_lost", "The engine ended in the middle of its answer.", { remedy: "Try again; `assistant ps` says what became of the instance." });

/** The fast path: chunks pass through with their framing, and nothing is decoded. */
export class RawChunks implements Receiver {
  readonly #client: ClientStream;
  readonly #tail = new Tail();
  readonly #begin: () => void;
  begun = false;

  /** `begin` sends the client's head, once the engine has shown that it answers. */
  constructor(client: ClientStream, begin: () => void) {
    this.#client = client;
    this.#begin = begin;
  }

  body(bytes: Buffer): Verdict {
    if (!this.#client.headSent) this.#begin();
    this.begun ||= bytes.includes("data:");
    this.#tail.push(bytes);
    if (!this.#tail.endsBody()) return verdict(this.#client.write(bytes));
    this.#client.end(bytes);
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

/** A body of stated length: what most answers that are not streamed have. */
export class FixedLength implements Receiver {
  readonly #client: ClientStream;
  readonly #tail = new Tail();
  readonly #begin: () => void;
  readonly begun = true;
  #head = NOTHING;
  #left: number;

  /** `begin` sends the client's head; it is called once the body has proved to be worth one. */
  constructor(client: ClientStream, bytes: number, begin: () => void) {
    this.#client = client;
    this.#left = bytes;
    this.#begin = begin;
  }

  body(bytes: Buffer): Verdict {
    const mine = bytes.length > this.#left ? bytes.subarray(0, this.#left) : bytes;
    this.#left -= mine.length;
    this.#tail.push(mine);
    if (this.#head.length === 0) this.#head = mine.subarray(0, 1024);
    if (this.#left > 0) {
      this.#begin();
      return verdict(this.#client.write(mine));
    }
    // Seen whole before anything was sent: half an object can still become an error the client understands.
    if (!this.#client.headSent && mine[mine.length - 1] !== CLOSING_BRACE) {
      throw new AssistantError("engine_error", "The engine's answer is not complete JSON.");
    }
    this.#begin();
    this.#client.end(mine);
    return "done";
  }
  closed(): void {
    throw truncated();
  }
  facts(): AnswerFacts {
    const facts = readFacts(this.#tail.bytes());
    // Embeddings tell their usage before the vectors, not after them.
    return facts.promptTokens === null && this.#head.length > 0 ? readFacts(this.#head) : facts;
  }
  betweenEvents(): boolean {
    return false;
  }
  dispose(): void {
    this.#tail.release();
  }
}

const CLOSING_BRACE = 125;

/** For HTTP/1.0 clients, engines that end by closing, and answers whose head a keep-alive comment has already sent. */
export class Reframed implements Receiver {
  readonly #client: ClientStream;
  readonly #tail = new Tail();
  readonly #decoder: ChunkDecoder | null;
  readonly #endsByClosing: boolean;
  readonly #begin: () => void;
  readonly begun = true;
  #left: number;

  constructor(client: ClientStream, framing: Framing, begin: () => void) {
    this.#client = client;
    this.#begin = begin;
    this.#decoder = framing.type === "chunked" ? new ChunkDecoder() : null;
    this.#left = framing.type === "length" ? framing.bytes : Number.POSITIVE_INFINITY;
    this.#endsByClosing = framing.type === "until-close";
  }

  body(bytes: Buffer): Verdict {
    this.#begin();
    let flowing = true;
    for (const piece of this.#decoder?.push(bytes) ?? [bytes.subarray(0, Math.min(bytes.length, this.#left))]) {
      if (piece.length === 0) continue;
      this.#left -= piece.length;
      this.#tail.push(piece);
      flowing = this.#client.payload(piece) && flowing;
    }
    if (!(this.#decoder?.done || this.#left === 0)) return verdict(flowing);
    this.#client.endPayload();
    return "done";
  }
  closed(): void {
    if (!this.#endsByClosing || !this.#client.headSent) throw truncated();
    this.#client.endPayload();
  }
  facts(): AnswerFacts {
    return readFacts(this.#tail.bytes());
  }
  betweenEvents(): boolean {
    return endsWith(this.#tail.bytes(), "\n\n");
  }
  dispose(): void {
    this.#tail.release();
  }
}

const MAX_ERROR_BYTES = 256 * 1024;

/** Collects an engine's error answer and throws it as ours. */
export class ErrorAnswer implements Receiver {
  readonly #status: number;
  readonly #framing: Framing;
  readonly #model: string;
  readonly begun = false;
  #bytes = NOTHING;

  constructor(status: number, framing: Framing, model: string) {
    this.#status = status;
    this.#framing = framing;
    this.#model = model;
  }

  body(bytes: Buffer): Verdict {
    this.#bytes = Buffer.concat([this.#bytes, bytes]);
    const { type } = this.#framing;
    const complete = type === "chunked" ? endsBody(this.#bytes) : this.#framing.type === "length" && this.#bytes.length >= this.#framing.bytes;
    if (complete || this.#bytes.length > MAX_ERROR_BYTES) this.closed();
    return "more";
  }
  closed(): void {
    const payload = this.#framing.type === "chunked" ? Buffer.concat(new ChunkDecoder().push(this.#bytes)) : this.#bytes;
    throw engineError(this.#status, payload.toString(), this.#model);
  }
  facts(): AnswerFacts {
    return readFacts(NOTHING);
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}
}
