import { printable } from "../../../src/ui/printable.ts";

/** A terminal, or its substitute in a test. */
export interface WrapTarget {
  readonly columns?: number;
  write(text: string): unknown;
}

const DEFAULT_COLUMNS = 80;
/** Characters that take two cells. */
const WIDE =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Hangul}\p{Emoji_Presentation}\u3000-\u303f\uff00-\uff60]/u;
/** They take no cell: marks on the character before, and what joins emoji. */
const JOINED = /\p{Mark}|\p{Format}/u;

/**
 * Writes text to a terminal as it arrives, and wraps at words: one that turns out too long is erased and rewritten on
 * the next line. A word longer than a line is left to the terminal.
 */
export class WordWrap {
  readonly #target: WrapTarget;
  #column = 0;
  /** What has been written of the word that is under way, and its cells. */
  #word = "";
  #wordCells = 0;

  constructor(target: WrapTarget) {
    this.#target = target;
  }

  write(text: string): void {
    let out = "";
    // One cell less: a full line makes some terminals wrap.
    const width = Math.max(2, (this.#target.columns ?? DEFAULT_COLUMNS) - 1);
    for (const character of printable(text)) {
      if (character === "\n") {
        out += character;
        this.#column = 0;
        this.#endWord();
        continue;
      }
      const cells = JOINED.test(character) ? 0 : WIDE.test(character) ? 2 : 1;
      const isBlank = character === " " || character === "\t";
      if (isBlank) {
        this.#endWord();
        // A blank that does not fit is what the line breaks at.
        if (this.#column + cells > width) {
          out += "\n";
          this.#column = 0;
          continue;
        }
      } else if (cells === 2) {
        // Between such characters a line may break anywhere.
        this.#endWord();
        if (this.#column + cells > width) {
          out += "\n";
          this.#column = 0;
        }
      } else if (this.#column + cells > width && this.#wordCells < width) {
        out += this.#wordCells === 0 ? "\n" : `\u001b[${this.#wordCells}D\u001b[K\n${this.#word}`;
        this.#column = this.#wordCells;
      }
      out += character;
      this.#column = this.#column + cells > width ? cells : this.#column + cells;
      if (!isBlank && cells !== 2) {
        this.#word += character;
        this.#wordCells += cells;
      }
    }
    if (out !== "") this.#target.write(out);
  }

  #endWord(): void {
    this.#word = "";
    this.#wordCells = 0;
  }
}
