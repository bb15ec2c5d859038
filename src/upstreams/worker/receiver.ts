import { AssistantError } from "../../core/errors.ts";
import { type AnswerFacts, NO_FACTS } from "../../core/upstream.ts";
import { ChunkDecoder } from "../answer/chunked.ts";
import type { AnswerHead, Receiver, Verdict } from "../answer/receivers.ts";
import { brokenOff } from "../answer/worker-failure.ts";
import type { AnswerWriter } from "./answer.ts";

/** Longest answer that is buffered for a client that does not stream, and longest error. */
const MAX_WHOLE_CHARACTERS = 16 * 2 ** 20;
const MAX_ERROR_BYTES = 64 * 1024;

/** Decodes the framing of a body: its content, piece by piece, and whether it is complete. */
class Body {
  readonly #decoder: ChunkDecoder | null;
  readonly #endsByClosing: boolean;
  #left: number;

  constructor({ framing }: AnswerHead) {
    this.#decoder = framing.type === "chunked" ? new ChunkDecoder() : null;
    this.#left = framing.type === "length" ? framing.bytes : Number.POSITIVE_INFINITY;
    this.#endsByClosing = framing.type === "until-close";
  }

  pieces(bytes: Buffer): readonly Buffer[] {
    if (this.#decoder !== null) return this.#decoder.push(bytes);
    const mine = bytes.subarray(0, this.#left);
    this.#left -= mine.length;
    return [mine];
  }

  get isWhole(): boolean {
    return this.#decoder?.done === true || this.#left === 0;
  }

  /** Throws `worker_unavailable` if the connection ended before the body. */
  closed(worker: string): void {
    if (!this.#endsByClosing && !this.isWhole) throw brokenOff(worker);
  }
}

/** A worker's text, which may be split anywhere, even within a character. */
export class TextReceiver implements Receiver {
  readonly #body: Body;
  readonly #writer: AnswerWriter;
  readonly #decoder = new TextDecoder();
  readonly #worker: string;
  readonly #streamed: boolean;
  #characters = 0;
  begun = false;

  constructor(head: AnswerHead, writer: AnswerWriter, worker: string, streamed: boolean) {
    this.#body = new Body(head);
    this.#writer = writer;
    this.#worker = worker;
    this.#streamed = streamed;
  }

  body(bytes: Buffer): Verdict {
    let flowing = true;
    for (const piece of this.#body.pieces(bytes)) flowing = this.#take(piece) && flowing;
    if (!this.#body.isWhole) return flowing ? "more" : "pause";
    this.#end();
    return "done";
  }
  closed(): void {
    this.#body.closed(this.#worker);
    this.#end();
  }
  /** Whether the connection is at the exact end of the answer. */
  get isWhole(): boolean {
    return this.#body.isWhole;
  }
  facts(): AnswerFacts {
    return { ...NO_FACTS, finishReason: "stop" };
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}

  #take(piece: Buffer): boolean {
    const text = this.#decoder.decode(piece, { stream: true });
    if (text === "") return true;
    this.begun = true;
    this.#characters += text.length;
    if (!this.#streamed && this.#characters > MAX_WHOLE_CHARACTERS)
      throw new AssistantError(
        "worker_error",
        `The answer of the worker at ${this.#worker} is longer than ${MAX_WHOLE_CHARACTERS} characters.`,
        { remedy: 'Ask for a stream (`"stream": true`).' },
      );
    return this.#writer.text(text);
  }

  #end(): void {
    const rest = this.#decoder.decode();
    if (rest !== "") this.#writer.text(rest);
    this.begun = true;
    this.#writer.end();
  }
}

/** Collects a response with a status other than 200, and throws what `refusal` makes of it. */
export class RefusalReceiver implements Receiver {
  readonly begun = false;
  readonly #body: Body;
  readonly #refusal: (text: string) => AssistantError;
  readonly #parts: Buffer[] = [];
  #bytes = 0;

  constructor(head: AnswerHead, refusal: (text: string) => AssistantError) {
    this.#body = new Body(head);
    this.#refusal = refusal;
    if (this.#body.isWhole) throw refusal("");
  }

  body(bytes: Buffer): Verdict {
    for (const piece of this.#body.pieces(bytes)) {
      this.#parts.push(piece);
      this.#bytes += piece.length;
    }
    if (this.#body.isWhole || this.#bytes > MAX_ERROR_BYTES) this.closed();
    return "more";
  }
  closed(): void {
    throw this.#refusal(Buffer.concat(this.#parts).toString("utf8", 0, MAX_ERROR_BYTES));
  }
  facts(): AnswerFacts {
    return NO_FACTS;
  }
  betweenEvents(): boolean {
    return true;
  }
  dispose(): void {}
}
