import type { JsonObject } from "../../core/inference.ts";
import { anyOf, type Emptiness, inSequence, MAX_OPTIONAL, repeated, TERMINAL } from "./emptiness.ts";
import { invalid } from "./rules.ts";

/** An engine parses a grammar recursively, one stack frame for each group and rule, on a thread with a small stack. */
const MAX_GROUPS = 64;
const MAX_LENGTH = 64 * 1024;
/** All of them are tried for every token. */
const MAX_ALTERNATIVES = 2_000;
/** Rules and groups within each other. They are read recursively here, too. */
const MAX_DEPTH = 200;
/** How often rules that contain themselves are looked at; those that people write need two or three. */
const MAX_PASSES = 20;

/** Throws `invalid_request` for a grammar that might crash or block an engine. Its syntax is checked by the engine. */
export function checkGrammar(body: JsonObject): void {
  const { grammar } = body;
  if (typeof grammar !== "string") return;
  if (grammar.length > MAX_LENGTH)
    throw invalid(
      "grammar",
      `The field "grammar" must have at most ${MAX_LENGTH} characters; it has ${grammar.length}.`,
    );
  const name = new GrammarReader(grammar).blockingRule();
  if (name === null) return;
  throw invalid(
    "grammar",
    `The field "grammar" must not have more than ${MAX_OPTIONAL} parts in a row that may be empty; see the rule ${JSON.stringify(name.slice(0, 100))}.`,
  );
}

/** Part of a rule. `most`: of a repetition; the others happen once. */
type Part =
  | { readonly type: "terminal" }
  | { readonly type: "rule"; readonly name: string }
  | { readonly type: "group"; readonly alternatives: readonly Part[][] }
  | { readonly type: "repeated"; readonly part: Part; readonly least: number; readonly most: number };

// A comment reaches to the end of its line, in one way only.
const SPACE = "(?:\\s|#[^\\r\\n]*(?![^\\r\\n]))*";
const TOKEN = new RegExp(
  [
    `${SPACE}(?:(?<rule>[\\w-]+)${SPACE}::=`,
    `(?<name>[\\w-]+)`,
    `(?<terminal>"(?:\\\\[\\s\\S]|[^"\\\\])*"|\\[(?:\\\\[\\s\\S]|[^\\]\\\\])*\\]|!?<[^>]*>|\\.)`,
    `(?<sign>[()|*+?])`,
    `\\{${SPACE}(?<least>\\d+)${SPACE}(?<comma>,?)${SPACE}(?<most>\\d*)${SPACE}\\})`,
  ].join("|"),
  "uy",
);

/** Reads a grammar as llama.cpp does, up to what that does not understand either. */
class GrammarReader {
  readonly #rules = new Map<string, Part[][]>();
  /** As found in the last pass, and in this one. */
  #before: ReadonlyMap<string, Emptiness> = new Map();
  #known = new Map<string, Emptiness>();
  #alternatives = 0;
  #depth = 0;

  constructor(text: string) {
    TOKEN.lastIndex = 0;
    // The open groups, and the sequence being read in each; the first is a rule.
    let open: Part[][][] = [];
    for (let found = TOKEN.exec(text)?.groups; found !== undefined; found = TOKEN.exec(text)?.groups) {
      const { rule, name, terminal, sign, least, comma, most } = found;
      if (rule !== undefined) {
        open = [[[]]];
        this.#rules.set(rule, open[0] as Part[][]);
        continue;
      }
      const sequence = open.at(-1)?.at(-1);
      if (sequence === undefined) return;
      if (name !== undefined) sequence.push({ type: "rule", name });
      else if (terminal !== undefined) sequence.push({ type: "terminal" });
      else if (sign === "|") this.#alternative(open);
      else if (sign === "(") this.#group(open, sequence);
      else if (sign === ")") open.pop();
      else repeat(sequence, sign, least, comma === "" ? least : most);
    }
  }

  #alternative(open: Part[][][]): void {
    this.#alternatives += 1;
    if (this.#alternatives > MAX_ALTERNATIVES)
      throw invalid("grammar", `The field "grammar" must not have more than ${MAX_ALTERNATIVES} alternatives.`);
    open.at(-1)?.push([]);
  }

  #group(open: Part[][][], sequence: Part[]): void {
    if (open.length > MAX_GROUPS)
      throw invalid("grammar", `The field "grammar" must not have more than ${MAX_GROUPS} nested groups.`);
    const alternatives: Part[][] = [[]];
    sequence.push({ type: "group", alternatives });
    open.push(alternatives);
  }

  /**
   * A rule with more parts in a row that may be empty than an engine can follow, or null. What is known of a rule that
   * contains itself grows with each pass, until it stays the same.
   */
  blockingRule(): string | null {
    for (let pass = 0; pass < MAX_PASSES; pass++) {
      this.#before = this.#known;
      this.#known = new Map();
      let isSame = true;
      for (const name of this.#rules.keys()) {
        const { isNullable, first, most } = this.#rule(name);
        if (most > MAX_OPTIONAL) return name;
        const before = this.#before.get(name);
        isSame &&= before?.most === most && before.first === first && before.isNullable === isNullable;
      }
      if (isSame) return null;
    }
    throw invalid("grammar", 'The field "grammar" has rules that contain each other in too many ways.');
  }

  #rule(name: string): Emptiness {
    const known = this.#known.get(name);
    if (known !== undefined) return known;
    // For a rule that contains itself.
    this.#known.set(name, this.#before.get(name) ?? TERMINAL);
    const found = this.#anyOf(this.#rules.get(name) ?? []);
    this.#known.set(name, found);
    return found;
  }

  #anyOf(alternatives: readonly Part[][]): Emptiness {
    return anyOf(alternatives.map((sequence) => inSequence(sequence.map((part) => this.#part(part)))));
  }

  #part(part: Part): Emptiness {
    this.#depth += 1;
    if (this.#depth > MAX_DEPTH)
      throw invalid("grammar", `The field "grammar" must not nest more than ${MAX_DEPTH} rules and groups.`);
    const found = this.#emptinessOf(part);
    this.#depth -= 1;
    return found;
  }

  #emptinessOf(part: Part): Emptiness {
    if (part.type === "terminal") return TERMINAL;
    if (part.type === "rule") return this.#rule(part.name);
    if (part.type === "group") return this.#anyOf(part.alternatives);
    return repeated(this.#part(part.part), part.least, part.most);
  }
}

/** Repeats the last part of the sequence. */
function repeat(sequence: Part[], sign: string | undefined, leastText = "", mostText = ""): void {
  const part = sequence.pop();
  if (part === undefined) return;
  const least = sign === undefined ? Number(leastText) : sign === "+" ? 1 : 0;
  const most = sign === undefined && mostText !== "" ? Number(mostText) : 1;
  // An engine would add rules until it has used all memory.
  if (sign === undefined && mostText !== "" && least > most)
    throw invalid("grammar", `The field "grammar" must not repeat at least ${least} and at most ${most} times.`);
  sequence.push({ type: "repeated", part, least, most: Math.max(least, most) });
}
