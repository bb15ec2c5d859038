/** Removes from an answer the repetition of the message that it continues: engines repeat it, other APIs do not. */
export class Prefill {
  #text: string;
  #held = "";

  constructor(text: string) {
    this.#text = text;
  }

  /** The new part of the answer's next piece. */
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

  /** The text held back when an answer ended before the repetition could be recognised. */
  end(): string {
    const held = this.#held;
    this.#held = "";
    return held;
  }
}
