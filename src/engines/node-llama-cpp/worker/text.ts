/** Turns tokens into text; the second argument helps the tokenizer to decide about a leading space. */
export type Detokenize<T> = (tokens: readonly T[], precedingTokens: readonly T[]) => string;

// The longest character of UTF-8 has 4 bytes, and a byte costs at most one token; more waiting would never help.
const MAX_TOKENS_OF_A_CHARACTER = 4;
const PRECEDING_TOKENS = 4;

/**
 * The text of an answer as it may be shown: characters whole, and nothing that could still become a stop string.
 * A stop string itself is never part of it.
 */
export class AnswerText<T> {
  readonly #detokenize: Detokenize<T>;
  readonly #stops: readonly string[];
  /** Tokens whose last character is not complete. */
  #incomplete: T[] = [];
  #preceding: T[];
  /** Text that may be the beginning of a stop string. */
  #held = "";
  #stopped: string | null = null;

  constructor(detokenize: Detokenize<T>, stops: readonly string[], promptEnd: readonly T[] = []) {
    this.#detokenize = detokenize;
    this.#stops = stops;
    this.#preceding = promptEnd.slice(-PRECEDING_TOKENS);
  }

  /** The stop string that ended the answer, or null. */
  get stoppedBy(): string | null {
    return this.#stopped;
  }

  /** Adds a token and returns what may be shown now; "" when nothing may. */
  push(token: T): string {
    this.#incomplete.push(token);
    const piece = this.#detokenize(this.#incomplete, this.#preceding);
    if (piece.endsWith("\uFFFD") && this.#incomplete.length < MAX_TOKENS_OF_A_CHARACTER) return "";
    this.#preceding = [...this.#preceding, ...this.#incomplete].slice(-PRECEDING_TOKENS);
    this.#incomplete = [];
    this.#held += piece;
    return this.#release();
  }

  /** What was held back, now that no token follows. A character that was never completed is dropped. */
  finish(): string {
    if (this.#stopped !== null) return "";
    if (this.#incomplete.length > 0)
      this.#held += this.#detokenize(this.#incomplete, this.#preceding).replace(/\uFFFD+$/u, "");
    this.#incomplete = [];
    const shown = this.#release();
    const rest = this.#stopped === null ? this.#held : "";
    this.#held = "";
    return shown + rest;
  }

  #release(): string {
    if (this.#stops.length === 0) {
      const all = this.#held;
      this.#held = "";
      return all;
    }
    const [stop, at] = firstStop(this.#held, this.#stops);
    if (stop !== null) this.#stopped = stop;
    const end = stop === null ? this.#held.length - openStop(this.#held, this.#stops) : at;
    const shown = this.#held.slice(0, end);
    this.#held = this.#held.slice(end);
    return shown;
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

/** Length of the longest end of `text` that is the beginning of a stop string. */
function openStop(text: string, stops: readonly string[]): number {
  let longest = 0;
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length;
    }
  }
  return longest;
}
