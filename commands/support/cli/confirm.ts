import { createInterface } from "node:readline/promises";

/** Asks on the terminal; only `y` and `yes` mean yes, and so the end of input means no. */
export async function confirmed(question: string): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const gone = new AbortController();
    terminal.once("close", () => gone.abort());
    return /^y(es)?$/i.test((await terminal.question(`${question} [y/N] `, { signal: gone.signal })).trim());
  } catch {
    return false;
  } finally {
    terminal.close();
  }
}
