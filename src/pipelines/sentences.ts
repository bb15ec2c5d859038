import { setImmediate } from "node:timers/promises";

/** Where texts are split. */
export interface SentenceMarks {
  /** End a sentence. */
  readonly marks: string;
  /** End one that has `softLength` characters. */
  readonly softMarks: string;
  readonly softLength: number;
}

export const DEFAULT_MARKS: SentenceMarks = { marks: "，,!?。！？(（）)", softMarks: "、：:", softLength: 10 };

/** Characters after which a text without marks is split: too much to be spoken at once. */
const MAX_LENGTH = 10_000;

/** Divides a text that comes in pieces into sentences, which together are the text. */
export class Sentences {
  readonly #options: SentenceMarks;
  #pending = "";
  /** Characters of `#pending`. */
  #length = 0;
  /** Of `#pending`: whether it holds a letter or digit, without which there is nothing to say. */
  #speaks = false;

  constructor(options: SentenceMarks = DEFAULT_MARKS) {
    this.#options = options;
  }

  /** The sentences that `piece` completes. */
  push(piece: string): string[] {
    const { marks, softMarks, softLength } = this.#options;
    const done: string[] = [];
    for (const character of piece) {
      this.#pending += character;
      this.#length += 1;
      this.#speaks ||= /[\p{L}\p{N}]/u.test(character);
      const ends = marks.includes(character) || (softMarks.includes(character) && this.#length >= softLength);
      if ((ends && this.#speaks) || this.#length === MAX_LENGTH) done.push(this.#take());
    }
    return done;
  }

  /** What is left; null: nothing. */
  flush(): string | null {
    return this.#pending === "" ? null : this.#take();
  }

  #take(): string {
    const sentence = this.#pending;
    this.#pending = "";
    this.#length = 0;
    this.#speaks = false;
    return sentence;
  }
}

/** Of a piece that is worked on without a pause. */
const TURN_LENGTH = 16 * 1024;

/** A long text in pieces, between which the daemon does other work. */
export async function* inTurns(text: string): AsyncGenerator<string> {
  for (let at = 0; at < text.length; ) {
    if (at > 0) await setImmediate();
    const end = at + TURN_LENGTH;
    // A character of two units stays in one piece.
    const next = isHighSurrogate(text.charCodeAt(end - 1)) ? end + 1 : end;
    yield text.slice(at, next);
    at = next;
  }
}

const isHighSurrogate = (unit: number): boolean => unit >= 0xd800 && unit <= 0xdbff;

/** Writes a text that comes in pieces for the client as it comes, and passes it on, by sentences where `split`. */
export async function* spoken(
  pieces: AsyncIterable<string>,
  split: boolean,
): AsyncGenerator<{ next?: string; client?: { type: string; chunk: string } }> {
  const sentences = new Sentences();
  for await (const chunk of pieces) {
    const client = { type: "text", chunk };
    if (!split) {
      yield { client, next: chunk };
      continue;
    }
    yield { client };
    for (const next of sentences.push(chunk)) yield { next };
  }
  const rest = sentences.flush();
  if (rest !== null) yield { next: rest };
}
