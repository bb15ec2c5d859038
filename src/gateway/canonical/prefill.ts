/**
 * Takes off an answer what it repeats of the message that it goes on from: engines say that again, other APIs do not.
 */
export class Prefill {
  #text: string;
  #held = "";

  constructor(text: string) {
    this.#text = text;
  }

  /** What of the answer's next piece is new. */
  rest(said: string): string {
    if (this.#text === "") return said;
    const seen = this.#held + said;
    if (this.#text.startsWith(seen) && seen.length < this.#text.length) {
      this.#held = seen;
      return "";
    }
    const rest = seen.startsWith(this.#text) ? seen.slice(this.#text.length) : seen;
    this.#held = "";
    this.#text = "";
    return rest;
  }

  /** What was held back of an answer that ended before it could be told apart. */
  end(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}
