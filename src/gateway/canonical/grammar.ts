import type { JsonObject } from "../../core/inference.ts";
import { invalid } from "./rules.ts";

/** An engine parses a grammar recursively, one stack frame for each group and rule, on a thread with a small stack. */
const MAX_GROUPS = 64;
const MAX_LENGTH = 64 * 1024;
/** All of them are tried for every token. */
const MAX_ALTERNATIVES = 2_000;

/** Throws `invalid_request` for a grammar that might crash an engine. Its syntax is checked by the engine. */
export function checkGrammar(body: JsonObject): void {
  const { grammar } = body;
  if (typeof grammar !== "string") return;
  if (grammar.length > MAX_LENGTH)
    throw invalid(
      "grammar",
      `The field "grammar" must have at most ${MAX_LENGTH} characters; it has ${grammar.length}.`,
    );
  let depth = 0;
  let alternatives = 0;
  for (let at = 0; at < grammar.length; at++) {
    const char = grammar[at];
    if (char === '"' || char === "[") at = endOfLiteral(grammar, at + 1, char === "[" ? "]" : '"');
    else if (char === "#") while (at + 1 < grammar.length && grammar[at + 1] !== "\n") at++;
    else if (char === "{") refuseReversed(grammar, at);
    else if (char === "|" && ++alternatives > MAX_ALTERNATIVES) {
      throw invalid("grammar", `The field "grammar" must not have more than ${MAX_ALTERNATIVES} alternatives.`);
    } else if (char === ")") depth--;
    else if (char === "(" && ++depth > MAX_GROUPS)
      throw invalid("grammar", `The field "grammar" must not have more than ${MAX_GROUPS} nested groups.`);
  }
}

/** A repetition's two numbers, with spaces and comments around them. */
const REPETITION = /\{(?:\s|#.*)*(\d+)(?:\s|#.*)*,(?:\s|#.*)*(\d+)/uy;

/** An engine would add alternatives until it has used all memory. */
function refuseReversed(grammar: string, at: number): void {
  REPETITION.lastIndex = at;
  const [, least, most] = REPETITION.exec(grammar) ?? [];
  if (Number(least) > Number(most))
    throw invalid("grammar", `The field "grammar" must not repeat at least ${least} and at most ${most} times.`);
}

function endOfLiteral(grammar: string, from: number, ending: string): number {
  let at = from;
  while (at < grammar.length && grammar[at] !== ending) at += grammar[at] === "\\" ? 2 : 1;
  return at;
}
