import { anyOf, type Emptiness, inSequence, MAX_OPTIONAL, repeated, TERMINAL } from "./emptiness.ts";

/** Code points, first and last of each range. */
type Ranges = readonly (readonly [number, number])[];

/** Thrown with the reason why a grammar cannot follow a pattern. */
export class UnsupportedPattern extends Error {}

/** A pattern that would block an engine, or make it use all memory. */
export class BlockingPattern extends UnsupportedPattern {}

const LAST = 0x10_ffff;
const DIGITS: Ranges = [[48, 57]];
const WORD: Ranges = [
  [48, 57],
  [65, 90],
  [95, 95],
  [97, 122],
];
const SPACE: Ranges = [
  [9, 13],
  [32, 32],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
const LINE_ENDS: Ranges = [
  [10, 10],
  [13, 13],
  [0x2028, 0x2029],
];
/** Characters that appear unescaped in JSON strings: no control characters, quotes, backslashes or surrogates. */
const PLAIN: Ranges = [
  [32, 33],
  [35, 91],
  [93, 0xd7ff],
  [0xe000, LAST],
];
const CLASSES: Readonly<Record<string, Ranges>> = { d: DIGITS, w: WORD, s: SPACE };
const CONTROLS: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v" };

/** Maximum copies that a grammar makes of repetitions; nested ones multiply. */
const MAX_COPIES = 2_000;
const MAX_GROUPS = 32;

/**
 * Rewrites a regular expression of JSON Schema, which may match anywhere in a string, so that llama.cpp's grammar for
 * it accepts only matching strings: anchored, without shorthand classes, and without characters that would end a JSON
 * string. All strings it matches match the original; of those with quotes, backslashes and control characters it may
 * match fewer. Throws `UnsupportedPattern`.
 */
export const toGrammarPattern = (pattern: string): string => new PatternReader(pattern).whole();

interface Piece {
  readonly text: string;
  readonly copies: number;
  readonly emptiness: Emptiness;
}

/** How often a part is repeated: at least, and how many copies a grammar makes for it. */
interface Times {
  readonly text: string;
  readonly copies: number;
  readonly least: number;
}

class PatternReader {
  readonly #chars: readonly string[];
  #at = 0;
  #depth = 0;

  constructor(pattern: string) {
    this.#chars = [...pattern];
  }

  whole(): string {
    const alternatives = this.#alternatives(true);
    if (this.#at < this.#chars.length) throw new UnsupportedPattern("its parentheses are not balanced");
    if (alternatives.copies > MAX_COPIES)
      throw new UnsupportedPattern(`its repetitions make more than ${MAX_COPIES} copies`);
    if (alternatives.emptiness.most > MAX_OPTIONAL)
      throw new BlockingPattern(`more than ${MAX_OPTIONAL} parts in a row may be empty`);
    return `^(${alternatives.text})$`;
  }

  #alternatives(isWhole: boolean): Piece {
    const texts: string[] = [];
    const all: Emptiness[] = [];
    let copies = 0;
    do {
      const piece = isWhole ? this.#anchored() : this.#sequence();
      if (piece.text === "") throw new UnsupportedPattern("a part of it matches the empty string");
      texts.push(piece.text);
      copies += piece.copies;
      all.push(piece.emptiness);
    } while (this.#take("|"));
    return { text: texts.join("|"), copies, emptiness: anyOf(all) };
  }

  /** An alternative of the whole pattern: without an anchor, anything may precede or follow it. */
  #anchored(): Piece {
    const anything = `(${classText(PLAIN)})*`;
    const before = this.#take("^") ? "" : anything;
    const { text, copies, emptiness } = this.#sequence();
    const after = this.#take("$") ? "" : anything;
    const around = repeated(TERMINAL, 0, 1);
    return { text: before + text + after, copies: copies + 2, emptiness: inSequence([around, emptiness, around]) };
  }

  #sequence(): Piece {
    let text = "";
    let copies = 0;
    const parts: Emptiness[] = [];
    for (;;) {
      const char = this.#chars[this.#at];
      if (char === undefined || char === "|" || char === ")" || (char === "$" && this.#isEnd(this.#at + 1)))
        return { text, copies, emptiness: inSequence(parts) };
      const atom = this.#atom(char);
      const times = this.#times();
      text += times.text === "" ? atom.text : `(${atom.text})${times.text}`;
      copies += atom.copies * times.copies;
      parts.push(times.text === "" ? atom.emptiness : repeated(atom.emptiness, times.least, times.copies));
    }
  }

  #isEnd(at: number): boolean {
    return this.#depth === 0 && (at === this.#chars.length || this.#chars[at] === "|");
  }

  #atom(char: string): Piece {
    this.#at++;
    switch (char) {
      case "(":
        return this.#group();
      case "[":
        return { text: classText(this.#class()), copies: 1, emptiness: TERMINAL };
      case ".":
        return { text: classText(without(LINE_ENDS)), copies: 1, emptiness: TERMINAL };
      case "\\":
        return this.#escaped();
      case "^":
      case "$":
        throw new UnsupportedPattern("it has an anchor inside");
      case "*":
      case "+":
      case "?":
      case "{":
      case "}":
      case "]":
        throw new UnsupportedPattern(`"${char}" must be escaped`);
      default:
        return { text: literal(char), copies: 1, emptiness: TERMINAL };
    }
  }

  #group(): Piece {
    if (this.#take("?")) {
      const isNamed = this.#chars[this.#at] === "<" && !["=", "!"].includes(this.#chars[this.#at + 1] ?? "");
      if (isNamed)
        while (!this.#take(">"))
          if (this.#at++ >= this.#chars.length) throw new UnsupportedPattern("a group's name has no end");
      if (!isNamed && !this.#take(":")) throw new UnsupportedPattern("it looks ahead or behind");
    }
    if (++this.#depth > MAX_GROUPS)
      throw new UnsupportedPattern(`it has more than ${MAX_GROUPS} groups within each other`);
    const { text, copies, emptiness } = this.#alternatives(false);
    if (!this.#take(")")) throw new UnsupportedPattern("its parentheses are not balanced");
    this.#depth--;
    return { text: `(${text})`, copies, emptiness };
  }

  #escaped(): Piece {
    const read = this.#escape(false);
    return { text: typeof read === "string" ? literal(read) : classText(read), copies: 1, emptiness: TERMINAL };
  }

  /** An escape sequence: a character, or a class of them. */
  #escape(inClass: boolean): string | Ranges {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw new UnsupportedPattern("it ends with a backslash");
    const lower = char.toLowerCase();
    if (CLASSES[lower] !== undefined) return char === lower ? CLASSES[lower] : without(CLASSES[lower]);
    if (CONTROLS[char] !== undefined) return CONTROLS[char];
    if (char === "b" && inClass) return "\b";
    if (char === "x" || char === "u") return this.#code(char === "x" ? 2 : 4);
    if (/[a-z0-9]/i.test(char)) throw new UnsupportedPattern(`"\\${char}" has no equivalent`);
    return char;
  }

  #code(digits: number): string {
    const rest = this.#chars.slice(this.#at, this.#at + 10).join("");
    const [written, hex] =
      /^\{([0-9a-fA-F]{1,6})\}/.exec(rest) ?? new RegExp(`^([0-9a-fA-F]{${digits}})`).exec(rest) ?? [];
    const code = Number.parseInt(hex ?? "", 16);
    if (written === undefined || !(code <= LAST))
      throw new UnsupportedPattern("an escape of a code point is not complete");
    this.#at += written.length;
    return String.fromCodePoint(code);
  }

  #class(): Ranges {
    const isNegated = this.#take("^");
    const ranges: (readonly [number, number])[] = [];
    while (!this.#take("]")) {
      const from = this.#classItem();
      if (typeof from !== "string") {
        ranges.push(...from);
        continue;
      }
      const isRange = this.#chars[this.#at] === "-" && this.#chars[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const to = isRange ? this.#classItem() : from;
      if (typeof to !== "string" || codeOf(to) < codeOf(from))
        throw new UnsupportedPattern("a range of characters is out of order");
      ranges.push([codeOf(from), codeOf(to)]);
    }
    return isNegated ? without(ranges) : ranges;
  }

  #classItem(): string | Ranges {
    const char = this.#chars[this.#at++];
    if (char === undefined) throw new UnsupportedPattern("a class of characters has no end");
    return char === "\\" ? this.#escape(true) : char;
  }

  /** A quantifier; lazy ones match the same strings. */
  #times(): Times {
    const rest = this.#chars.slice(this.#at, this.#at + 24).join("");
    const [written, least, most] = /^(?:[*+?]|\{(\d{1,9})(?:,(\d{0,9}))?\})/.exec(rest) ?? [];
    if (written === undefined) return { text: "", copies: 1, least: 1 };
    this.#at += written.length;
    this.#take("?");
    if (least === undefined) return { text: written, copies: 1, least: written === "+" ? 1 : 0 };
    const copies = Math.max(Number(least), most === undefined || most === "" ? 1 : Number(most));
    if (most !== undefined && most !== "" && Number(most) < Number(least))
      throw new BlockingPattern("a repetition has fewer at most than at least");
    return { text: written, copies, least: Number(least) };
  }

  #take(char: string): boolean {
    if (this.#chars[this.#at] !== char) return false;
    this.#at++;
    return true;
  }
}

const codeOf = (char: string): number => char.codePointAt(0) as number;

/** All other code points. */
function without(ranges: Ranges): Ranges {
  const rest: [number, number][] = [];
  let from = 0;
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    if (first > from) rest.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= LAST) rest.push([from, LAST]);
  return rest;
}

function classText(ranges: Ranges): string {
  const parts = ranges.flatMap(([first, last]) =>
    PLAIN.flatMap(([from, to]) => {
      const [start, end] = [Math.max(first, from), Math.min(last, to)];
      if (start > end) return [];
      return start === end ? [coded(start)] : [`${coded(start)}-${coded(end)}`];
    }),
  );
  if (parts.length === 0) throw new UnsupportedPattern("a class contains only characters that JSON strings escape");
  return `[${parts.join("")}]`;
}

const coded = (code: number): string =>
  /[0-9A-Za-z]/.test(String.fromCodePoint(code))
    ? String.fromCodePoint(code)
    : `\\U${code.toString(16).toUpperCase().padStart(8, "0")}`;

/**
 * One character as written in a JSON string. In groups: otherwise llama.cpp repeats too much of what precedes an
 * escape.
 */
function literal(char: string): string {
  const written = JSON.stringify(char).slice(1, -1);
  if (written !== char) return `(${written.replace(/\\/g, "\\\\")})`;
  return /[\^$.[\]()|{}*+?]/.test(char) ? `\\${char}` : char;
}
