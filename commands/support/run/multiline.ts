/** What a chat's input line came to. */
export type LineResult = { readonly type: "message"; readonly text: string } | { readonly type: "more" };

/**
 * Assembles the lines of one message: between `"""` marks, after a trailing backslash, and when the caller indicates
 * that the message continues (Alt-Enter, a multi-line paste).
 */
export class MessageLines {
  #lines: string[] = [];
  #quoted = false;

  get pending(): boolean {
    return this.#lines.length > 0 || this.#quoted;
  }

  /** `goesOn`: the line was not ended by a plain Enter. */
  add(line: string, goesOn: boolean): LineResult {
    if (!this.#quoted && this.#lines.length === 0 && /^\s*(\/set\s+system\s+)?"""/u.test(line)) return this.#open(line);
    if (this.#quoted) return this.#inside(line);
    if (line.endsWith("\\") && !line.endsWith("\\\\")) return this.#keep(line.slice(0, -1));
    if (goesOn) return this.#keep(line);
    return this.#finish(line);
  }

  /** Forgets what was typed so far. */
  reset(): void {
    this.#lines = [];
    this.#quoted = false;
  }

  #open(line: string): LineResult {
    const at = line.indexOf('"""');
    // The command before the marks stays: `/set system """` sets what follows.
    const before = line.slice(0, at);
    const rest = line.slice(at + 3);
    const end = rest.indexOf('"""');
    if (end !== -1) return { type: "message", text: `${before}${rest.slice(0, end)}`.trim() };
    this.#quoted = true;
    if (before.trim() !== "" || rest !== "") this.#lines.push(`${before}${rest}`);
    return { type: "more" };
  }

  #inside(line: string): LineResult {
    const end = line.indexOf('"""');
    if (end === -1) return this.#keep(line);
    const last = line.slice(0, end);
    return last === "" && this.#lines.length > 0 ? this.#finish(null) : this.#finish(last);
  }

  #keep(line: string): LineResult {
    this.#lines.push(line);
    return { type: "more" };
  }

  #finish(line: string | null): LineResult {
    const text = [...this.#lines, ...(line === null ? [] : [line])].join("\n");
    this.reset();
    return { type: "message", text };
  }
}
