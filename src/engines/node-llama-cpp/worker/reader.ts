import { StopText } from "./text.ts";

/** A part of an answer, in the order in which it was made. */
export type Piece =
  | { readonly type: "content"; readonly text: string }
  /** A function is called; its arguments follow. */
  | { readonly type: "call"; readonly index: number; readonly name: string }
  | { readonly type: "arguments"; readonly index: number; readonly text: string };

/** What the text that comes next must be. */
export type Constraint =
  | { readonly type: "one of"; readonly texts: readonly string[] }
  | { readonly type: "arguments"; readonly name: string };

/** Makes pieces of an answer's text. */
export interface AnswerReader {
  push(text: string): Piece[];
  /** What was held back, now that no text follows. */
  finish(): Piece[];
  /** Nothing that follows would be shown. */
  readonly ended: boolean;
  /** The stop string that ended it, or null. */
  readonly stoppedBy: string | null;
  /** The same object for as long as it holds; null: anything may come. */
  readonly constraint: Constraint | null;
}

export const content = (text: string): Piece[] => (text === "" ? [] : [{ type: "content", text }]);

/** An answer that is content alone. */
export class ContentReader implements AnswerReader {
  readonly #text: StopText;
  readonly constraint = null;

  constructor(stops: readonly string[]) {
    this.#text = new StopText(stops);
  }

  push(text: string): Piece[] {
    return content(this.#text.push(text));
  }
  finish(): Piece[] {
    return content(this.#text.finish());
  }
  get ended(): boolean {
    return this.stoppedBy !== null;
  }
  get stoppedBy(): string | null {
    return this.#text.stoppedBy;
  }
}
