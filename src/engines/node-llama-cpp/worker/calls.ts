import { type AnswerReader, type Constraint, content, type Piece } from "./reader.ts";
import { openStop, StopText } from "./text.ts";

/** How a model writes that it calls a function: `start`, the name, `middle`, the arguments as a JSON object, `end`. */
export interface CallSyntax {
  readonly start: string;
  readonly middle: string;
  readonly end: string;
}

export interface CallOptions {
  readonly names: readonly string[];
  /** The answer is a call. */
  readonly required: boolean;
  /** More than one call may be made. */
  readonly parallel: boolean;
  readonly stops: readonly string[];
}

type Phase =
  | { readonly at: "text" }
  /** `written` begins as calls do. */
  | { readonly at: "head"; readonly written: string; readonly constraint: Constraint }
  | { readonly at: "arguments"; readonly name: string; readonly json: JsonEnd; readonly constraint: Constraint }
  | { readonly at: "tail"; readonly written: string; readonly constraint: Constraint }
  | { readonly at: "end" };

/** Finds the calls in an answer's text, and says what must follow where one has begun. */
export class CallReader implements AnswerReader {
  readonly #syntax: CallSyntax;
  readonly #options: CallOptions;
  readonly #text: StopText;
  /** By which a call is known as one: its mark, or all before the name. */
  readonly #lead: string;
  #phase: Phase;
  #held = "";
  /** Calls so far. */
  #calls = 0;
  #hasContent = false;

  constructor(syntax: CallSyntax, options: CallOptions) {
    this.#syntax = syntax;
    this.#options = options;
    this.#text = new StopText(options.stops);
    this.#lead = /^(?:<[^<>]+>|\[[A-Z_]+\])/u.exec(syntax.start)?.[0] ?? syntax.start;
    this.#phase = options.required ? this.#head("") : { at: "text" };
  }

  get ended(): boolean {
    return this.#phase.at === "end" || this.stoppedBy !== null;
  }
  get stoppedBy(): string | null {
    return this.#text.stoppedBy;
  }

  get constraint(): Constraint | null {
    return "constraint" in this.#phase ? this.#phase.constraint : null;
  }

  push(text: string): Piece[] {
    const pieces: Piece[] = [];
    let rest = text;
    while (rest !== "" && !this.ended) {
      const phase = this.#phase;
      if (phase.at === "text") rest = this.#readText(rest, pieces);
      else if (phase.at === "head") rest = this.#readHead(phase.written + rest, pieces);
      else if (phase.at === "arguments") rest = this.#readArguments(phase, rest, pieces);
      else if (phase.at === "tail") rest = this.#readTail(phase.written + rest);
    }
    return pieces;
  }

  finish(): Piece[] {
    const left = this.#phase.at === "text" ? this.#held : this.#phase.at === "head" ? this.#phase.written : "";
    this.#held = "";
    const pieces = [...this.#content(left), ...content(this.#text.finish())];
    this.#phase = { at: "end" };
    return pieces;
  }

  #readText(text: string, pieces: Piece[]): string {
    const all = this.#held + text;
    const isMark = this.#lead !== this.#syntax.start;
    const found = all.indexOf(this.#lead);
    // What is not marked as a call is one only where the answer begins with it.
    const isCall = found >= 0 && (isMark || (!this.#hasContent && all.slice(0, found).trim() === ""));
    if (isCall) {
      this.#held = "";
      pieces.push(...this.#content(all.slice(0, found).trimEnd()));
      this.#phase = this.#head("");
      return all.slice(found);
    }
    // Blanks before a call are no content, and a call may come next.
    const free = all.slice(0, all.length - openStop(all, [this.#lead])).trimEnd();
    this.#held = all.slice(free.length);
    pieces.push(...this.#content(free));
    return "";
  }

  /** Nor are blanks after one. */
  #content(text: string): Piece[] {
    const own = this.#calls > 0 && !this.#hasContent ? text.trimStart() : text;
    this.#hasContent ||= own.trim() !== "";
    return content(this.#text.push(own));
  }

  #heads(): { readonly name: string; readonly head: string }[] {
    const { start, middle } = this.#syntax;
    return this.#options.names.map((name) => ({ name, head: start + name + middle }));
  }

  #head(written: string): Phase {
    const texts = this.#heads()
      .filter(({ head }) => head.startsWith(written))
      .map(({ head }) => head.slice(written.length));
    return { at: "head", written, constraint: { type: "one of", texts } };
  }

  #readHead(text: string, pieces: Piece[]): string {
    const whole = this.#heads().find(({ head }) => text.startsWith(head));
    if (whole !== undefined) {
      pieces.push({ type: "call", index: this.#calls, name: whole.name });
      const constraint: Constraint = { type: "arguments", name: whole.name };
      this.#phase = { at: "arguments", name: whole.name, json: new JsonEnd(), constraint };
      return text.slice(whole.head.length);
    }
    if (this.#heads().some(({ head }) => head.startsWith(text))) {
      this.#phase =
        this.#phase.at === "head" && this.#phase.written !== "" ? { ...this.#phase, written: text } : this.#head(text);
      return "";
    }
    // It only began like one.
    this.#phase = { at: "text" };
    pieces.push(...this.#content(text));
    return "";
  }

  #readArguments(phase: Extract<Phase, { at: "arguments" }>, text: string, pieces: Piece[]): string {
    const end = phase.json.push(text);
    const own = end < 0 ? text : text.slice(0, end);
    if (own !== "") pieces.push({ type: "arguments", index: this.#calls, text: own });
    if (end < 0) return "";
    this.#calls++;
    this.#hasContent = false;
    if (!this.#options.parallel) this.#phase = { at: "end" };
    else if (this.#syntax.end === "") this.#phase = { at: "text" };
    else this.#phase = { at: "tail", written: "", constraint: { type: "one of", texts: [this.#syntax.end] } };
    return text.slice(end);
  }

  #readTail(text: string): string {
    const { end } = this.#syntax;
    if (text.startsWith(end) || !end.startsWith(text)) {
      this.#phase = { at: "text" };
      return text.startsWith(end) ? text.slice(end.length) : text;
    }
    if (this.#phase.at === "tail") this.#phase = { ...this.#phase, written: text };
    return "";
  }
}

/** Finds the end of a JSON object in text that comes in parts. */
class JsonEnd {
  #depth = 0;
  #inText = false;
  #escaped = false;

  /** Where in `part` the object ends, or -1. */
  push(part: string): number {
    for (let index = 0; index < part.length; index++) {
      const char = part[index];
      if (this.#inText) {
        if (this.#escaped) this.#escaped = false;
        else if (char === "\\") this.#escaped = true;
        else if (char === '"') this.#inText = false;
      } else if (char === '"') this.#inText = true;
      else if (char === "{" || char === "[") this.#depth++;
      else if ((char === "}" || char === "]") && --this.#depth === 0) return index + 1;
    }
    return -1;
  }
}
