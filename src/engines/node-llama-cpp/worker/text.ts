/** Turns tokens into text; the second argument helps the tokenizer to decide about a leading space. */
export type Detokenize<T> = (tokens: readonly T[], precedingTokens: readonly T[]) => string;

// The longest character of UTF-8 has 4 bytes, and a byte costs at most one token; more waiting would never help.
const MAX_TOKENS_OF_A_CHARACTER = 4;
const PRECEDING_TOKENS = 4;

/** The text of an answer's tokens, with its characters whole. */
export class TokenText<T> {
  readonly #detokenize: Detokenize<T>;
  /** Tokens whose last character is not complete. */
  #incomplete: T[] = [];
  #preceding: T[];

  constructor(detokenize: Detokenize<T>, promptEnd: readonly T[] = []) {
    this.#detokenize = detokenize;
    this.#preceding = promptEnd.slice(-PRECEDING_TOKENS);
  }

  /** Adds a token and returns the text that is complete now. */
  push(token: T): string {
    this.#incomplete.push(token);
    const piece = this.#detokenize(this.#incomplete, this.#preceding);
    if (piece.endsWith("\uFFFD") && this.#incomplete.length < MAX_TOKENS_OF_A_CHARACTER) return "";
    this.#preceding = [...this.#preceding, ...this.#incomplete].slice(-PRECEDING_TOKENS);
    this.#incomplete = [];
    return piece;
  }

  /** What was held back, now that no token follows. A character that was never completed is dropped. */
  finish(): string {
    if (this.#incomplete.length === 0) return "";
    const rest = this.#detokenize(this.#incomplete, this.#preceding).replace(/\uFFFD+$/u, "");
    this.#incomplete = [];
    return rest;
  }
}

/** Text as it may be shown: nothing that could still become a stop string. A stop string itself is never part of it. */
export class StopText {
  readonly #stops: readonly string[];
  /** Text that may be the beginning of a stop string. */
  #held = "";
  #stopped: string | null = null;

  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /** The stop string that ended the answer, or null. */
  get stoppedBy(): string | null {
    return this.#stopped;
  }

  /** Adds text and returns what may be shown now; "" when nothing may. */
  push(text: string): string {
    if (this.#stopped !== null) return "";
    if (this.#stops.length === 0) return text;
    this.#held += text;
    const [stop, at] = firstStop(this.#held, this.#stops);
    if (stop !== null) this.#stopped = stop;
    const end = stop === null ? this.#held.length - openStop(this.#held, this.#stops) : at;
    const shown = this.#held.slice(0, end);
    this.#held = this.#held.slice(end);
    return shown;
  }

  /** What was held back, now that no text follows. */
  finish(): string {
    const rest = this.#stopped === null ? this.#held : "";
    this.#held = "";
    return rest;
  }
}

function firstStop(text: string, stops: readonly string[]): [stop: string | null, at: number] {
  let found: [string | null, number] = [null, text.length];
  for (const stop of stops) {
    const at = text.indexOf(stop);
    if (at >= 0 && at < found[1]) found = [stop, at];
  }
  return found;
}

/** Length of the longest suffix of `text` that is a prefix of a stop string. */
export function openStop(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
