import { fstatSync } from "node:fs";
import type { Readable } from "node:stream";

// A program that starts us often leaves an open socket as stdin and writes nothing to it; a shell gives a pipe or a
// file.
const SOCKET_PATIENCE_MS = 500;

/**
 * All of standard input as text, or null if it is a terminal. With `optional` (there already is a prompt), an open
 * socket without a writer counts as no input; a pipe or a file is always read to its end.
 */
export async function readStdin(
  stdin: Readable & { readonly isTTY?: boolean; readonly fd?: number },
  optional: boolean,
): Promise<string | null> {
  if (stdin.isTTY === true) return null;
  const patience = optional && isSocket(stdin.fd ?? 0) ? SOCKET_PATIENCE_MS : null;
  const silent = Symbol("silent");
  const first = firstReadable(stdin);
  if (patience !== null) {
    const outcome = await Promise.race([
      first,
      new Promise<typeof silent>((resolve) => setTimeout(() => resolve(silent), patience).unref()),
    ]);
    if (outcome === silent) {
      stdin.destroy();
      return null;
    }
  }
  stdin.setEncoding("utf8");
  let text = "";
  for await (const part of stdin) text += part;
  return text;
}

function firstReadable(stdin: Readable): Promise<void> {
  return new Promise((resolve) => {
    stdin.once("readable", resolve);
    stdin.once("end", resolve);
    stdin.once("error", () => resolve());
  });
}

function isSocket(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isSocket();
  } catch {
    return false;
  }
}

/** The prompt of the command line and the text from stdin, as one message; null if there is neither. */
export function joinPrompt(words: readonly string[], piped: string | null): string | null {
  const parts = [words.join(" ").trim(), (piped ?? "").trim()].filter((part) => part !== "");
  return parts.length === 0 ? null : parts.join("\n\n");
}
