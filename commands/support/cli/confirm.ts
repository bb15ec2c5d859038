import { createInterface } from "node:readline/promises";
import { AssistantError } from "../../../src/core/errors.ts";
import { printable } from "../../../src/ui/printable.ts";

/** Deleting is never what a script gets by leaving something out: without a terminal to ask at this throws `usage`. */
export async function agreed(question: string, command: string, json: boolean): Promise<boolean> {
  if (process.stdin.isTTY === true && process.stderr.isTTY === true && !json) return await confirmed(question);
  throw new AssistantError("usage", `\`${command}\` asks: ${question} There is no terminal for the answer.`, {
    remedy: "Add `--yes` to confirm in advance.",
  });
}

/** Asks on the terminal; only `y` and `yes` mean yes, and so the end of input means no. */
export async function confirmed(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const gone = new AbortController();
    terminal.once("close", () => gone.abort());
    return /^y(es)?$/i.test((await terminal.question(`${printable(question)} [y/N] `, { signal: gone.signal })).trim());
  } catch {
    return false;
  } finally {
    terminal.close();
  }
}
