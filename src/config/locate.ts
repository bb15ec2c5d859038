/** Path of a value inside a TOML document: keys and array indexes. */
export type KeyPath = readonly (string | number)[];

export interface Locator {
  /** 1-based line of the key or element, or of the nearest ancestor that the text names; null if there is none. */
  line(path: KeyPath): number | null;
}

const pathKey = (path: KeyPath): string => JSON.stringify(path);

/**
 * Finds the lines of keys in a TOML text, because the parser does not keep positions. The text must have been parsed
 * without error; otherwise the scan stops where it no longer understands the text, and keeps what it found. Nothing is
 * scanned until needed: for most files there is nothing to report.
 */
export function locate(text: string): Locator {
  let scanner: Scanner | null = null;
  return {
    line(path) {
      if (scanner === null) {
        scanner = new Scanner(text);
        scanner.document();
      }
      for (let length = path.length; length > 0; length--) {
        const line = scanner.lines.get(pathKey(path.slice(0, length)));
        if (line !== undefined) return line;
      }
      return null;
    },
  };
}

class Scanner {
  readonly lines = new Map<string, number>();
  readonly #text: string;
  #at = 0;
  #line = 1;
  /** How many elements each array of tables has had so far. */
  readonly #counts = new Map<string, number>();

  constructor(text: string) {
    this.#text = text;
  }

  document(): void {
    let table: KeyPath = [];
    for (;;) {
      this.#blank();
      if (this.#at >= this.#text.length) return;
      const start = this.#at;
      if (this.#peek() === "[") table = this.#header();
      else this.#pair(table);
      if (this.#at === start) return;
    }
  }

  #header(): KeyPath {
    const array = this.#text.startsWith("[[", this.#at);
    this.#skip(array ? 2 : 1);
    const line = this.#line;
    const keys = this.#key();
    this.#skip(array ? 2 : 1);
    let path: (string | number)[] = [];
    for (const [index, key] of keys.entries()) {
      path = [...path, key];
      const last = index === keys.length - 1;
      const known = this.#counts.get(pathKey(path));
      if (last && array) {
        const count = known ?? 0;
        this.#counts.set(pathKey(path), count + 1);
        this.#note(path, line, false);
        path = [...path, count];
      } else if (known !== undefined) {
        // `[a.b]` below `[[a]]` belongs to the last element of `a`.
        path = [...path, known - 1];
      }
      this.#note(path, line, last);
    }
    return path;
  }

  #pair(table: KeyPath): void {
    const line = this.#line;
    let path = table;
    const keys = this.#key();
    for (const [index, key] of keys.entries()) {
      path = [...path, key];
      this.#note(path, line, index === keys.length - 1);
    }
    this.#blank();
    if (this.#peek() !== "=") return;
    this.#skip(1);
    this.#blank();
    this.#value(path);
  }

  #value(path: KeyPath): void {
    const first = this.#peek();
    if (first === '"' || first === "'") this.#string();
    else if (first === "[") this.#array(path);
    else if (first === "{") this.#inlineTable(path);
    else while (this.#at < this.#text.length && !/[,\]}#\r\n]/.test(this.#peek())) this.#skip(1);
  }

  #array(path: KeyPath): void {
    this.#skip(1);
    let index = 0;
    while (!this.#closes("]")) {
      const start = this.#at;
      if (this.#peek() === ",") {
        this.#skip(1);
        index++;
      } else {
        this.#note([...path, index], this.#line);
        this.#value([...path, index]);
      }
      if (this.#at === start) return;
    }
  }

  #inlineTable(path: KeyPath): void {
    this.#skip(1);
    while (!this.#closes("}")) {
      const start = this.#at;
      if (this.#peek() === ",") this.#skip(1);
      else this.#pair(path);
      if (this.#at === start) return;
    }
  }

  /** Passes over the bracket if it comes next; the end of the text counts as one. */
  #closes(bracket: string): boolean {
    this.#blank();
    if (this.#peek() !== bracket && this.#peek() !== "") return false;
    this.#skip(1);
    return true;
  }

  /** A key, dotted or not, each part bare or quoted. */
  #key(): string[] {
    const parts: string[] = [];
    for (;;) {
      this.#spaces();
      const first = this.#peek();
      if (first === '"' || first === "'") parts.push(this.#string());
      else {
        const bare = /[A-Za-z0-9_-]*/y;
        bare.lastIndex = this.#at;
        const found = bare.exec(this.#text)?.[0] ?? "";
        if (found === "") return parts;
        parts.push(found);
        this.#skip(found.length);
      }
      this.#spaces();
      if (this.#peek() !== ".") return parts;
      this.#skip(1);
    }
  }

  /**
   * Passes over a string of any of the four kinds and returns its content; escapes are only decoded in one-line
   * strings, which keys are.
   */
  #string(): string {
    const quote = this.#peek();
    const delimiter = this.#text.startsWith(quote.repeat(3), this.#at) ? quote.repeat(3) : quote;
    this.#skip(delimiter.length);
    const start = this.#at;
    while (this.#at < this.#text.length && !this.#text.startsWith(delimiter, this.#at))
      this.#skip(quote === '"' && this.#peek() === "\\" ? 2 : 1);
    const content = this.#text.slice(start, this.#at);
    this.#skip(delimiter.length);
    // A multi-line string may end in up to two quotes before the three that close it.
    if (delimiter.length === 3) while (this.#peek() === quote) this.#skip(1);
    return quote === '"' && delimiter.length === 1 ? decodeEscapes(content) : content;
  }

  #note(path: KeyPath, line: number, replace = true): void {
    const key = pathKey(path);
    if (replace || !this.lines.has(key)) this.lines.set(key, line);
  }

  #blank(): void {
    for (;;) {
      const char = this.#peek();
      if (char === "#") while (this.#at < this.#text.length && this.#peek() !== "\n") this.#skip(1);
      else if (char !== "" && /\s|\ufeff/.test(char)) this.#skip(1);
      else return;
    }
  }

  #spaces(): void {
    while (this.#peek() === " " || this.#peek() === "\t") this.#skip(1);
  }

  #peek(): string {
    return this.#text[this.#at] ?? "";
  }

  #skip(count: number): void {
    for (const end = Math.min(this.#at + count, this.#text.length); this.#at < end; this.#at++)
      if (this.#text[this.#at] === "\n") this.#line++;
  }
}

const SHORT_ESCAPES: Readonly<Record<string, string>> = {
  b: "\b",
  t: "\t",
  n: "\n",
  f: "\f",
  r: "\r",
  '"': '"',
  "\\": "\\",
};

function decodeEscapes(content: string): string {
  return content.replace(
    /\\(?:u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))/gs,
    (whole, short?: string, long?: string, letter?: string) => {
      const hex = short ?? long;
      return hex === undefined
        ? (SHORT_ESCAPES[letter ?? ""] ?? whole)
        : String.fromCodePoint(Number.parseInt(hex, 16));
    },
  );
}
