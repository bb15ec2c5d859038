import { readFile } from "node:fs/promises";
import { parse } from "@iarna/toml";
import { AssistantError } from "../core/errors.ts";
import { Mistakes, type SourceFile } from "./findings.ts";
import { locate } from "./locate.ts";

/** A file that cannot be read or is not TOML. `line` is 1-based. */
export class UnreadableFile extends Error {
  readonly file: string;
  readonly line: number | null;

  constructor(file: string, line: number | null, message: string) {
    super(message);
    this.name = "UnreadableFile";
    this.file = file;
    this.line = line;
  }

  toAssistantError(): AssistantError {
    return new AssistantError(
      "config_invalid",
      `${this.file}${this.line === null ? "" : `:${this.line}`}: ${this.message}`,
      {
        remedy: "Correct the file; `assistant init --stdout` prints one that is valid.",
        cause: new Mistakes([
          { severity: "error", file: this.file, line: this.line, key: null, message: this.message },
        ]),
      },
    );
  }
}

/** Reads a TOML file. Null if there is none; throws UnreadableFile. */
export async function readToml(file: string): Promise<SourceFile | null> {
  let text: string;
  try {
    text = await readFile(file, "utf8");
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    const reasons: Record<string, string> = {
      EACCES: "this user may not read it",
      EISDIR: "it is a directory, not a file",
      ENOTDIR: "a part of its path is not a directory",
    };
    throw new UnreadableFile(file, null, `cannot be read: ${reasons[code ?? ""] ?? message}`);
  }
  return parseToml(file, text);
}

/** Parses TOML text; `file` is for messages. Throws UnreadableFile. */
export function parseToml(file: string, given: string): SourceFile {
  // Editors on other systems leave a byte order mark, which the parser takes for a key.
  const text = given.replace(/^\ufeff/, "");
  // The line endings of Windows, of which it refuses the half in comments.
  try {
    return {
      file,
      data: plain(parse(text.replaceAll("\r\n", "\n"))) as Record<string, unknown>,
      locator: locate(text),
    };
  } catch (error) {
    if (!(error instanceof Error && "fromTOML" in error)) throw error;
    const { line, message } = error as Error & { line?: number };
    const [what = message] = message.split(/ at row \d+/);
    throw new UnreadableFile(file, line === undefined ? null : line + 1, `not valid TOML: ${what}`);
  }
}

/** The parser's tables carry its symbols and getters; what follows wants plain values. */
function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value !== "object" || value === null || value instanceof Date) return value;
  const copy: Record<string, unknown> = Object.create(null) as Record<string, unknown>;
  for (const [key, inner] of Object.entries(value)) copy[key] = plain(inner);
  return copy;
}
