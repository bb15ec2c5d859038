import { isDeepStrictEqual } from "node:util";
import { AssistantError } from "../core/errors.ts";
import { parseToml } from "./toml.ts";

/** A line that changes. `before` null: it is new. */
export interface LineChange {
  /** 1-based, in the new text. */
  readonly line: number;
  readonly before: string | null;
  readonly after: string;
}

export interface EditedText {
  readonly text: string;
  readonly changes: readonly LineChange[];
}

type Scalar = string | number | boolean;

// One line with one key and a value that ends on it; the groups are everything before the value, the value, and what
// follows.
const pair =
  /^(\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*[A-Za-z0-9_"'-]+)*\s*=\s*)("(?:[^"\\]|\\.)*"|'[^']*'|[^\s#"'[{,]+)(\s*(?:#.*)?)$/;

/**
 * Sets keys of one section in the text of a TOML file, line by line: comments, order, blanks and every other key stay
 * as they are. A key that is missing is added behind the last of `neighbours` that is there, else as the first of the
 * section. Throws `config_invalid`, with the lines to write by hand, where the section is written in a way that
 * cannot be edited by line, such as an inline table.
 */
export function setKeys(
  file: string,
  text: string,
  section: string,
  values: Readonly<Record<string, Scalar>>,
  neighbours: readonly string[] = [],
): EditedText {
  const { data, locator } = parseToml(file, text);
  const written = (data[section] ?? {}) as Record<string, unknown>;
  const ending = text.includes("\r\n") ? "\r\n" : "\n";
  const lines = text.split(/\r?\n/);
  const header = lines.findIndex(
    (line) => line.replace(/^\ufeff/, "").match(/^\s*\[\s*("?)([^"\]]+?)\1\s*\]\s*(#.*)?$/)?.[2] === section,
  );
  /** 0-based line of a key that has a line to itself; -1 else. */
  const lineOf = (key: string): number => {
    const line = Object.hasOwn(written, key) ? (locator.line([section, key]) ?? 0) - 1 : -1;
    return pair.test(lines[line] ?? "") ? line : -1;
  };
  const anchor = Math.max(header, ...[...neighbours, ...Object.keys(values)].map(lineOf));

  const added: string[] = [];
  const replaced = new Map<number, string>();
  for (const [key, value] of Object.entries(values)) {
    const line = lineOf(key);
    if (line === -1) added.push(`${key} = ${JSON.stringify(value)}`);
    else
      replaced.set(
        line,
        (lines[line] ?? "").replace(
          pair,
          (_, before: string, _value: string, after: string) => `${before}${JSON.stringify(value)}${after}`,
        ),
      );
  }

  const result: string[] = [];
  const changes: LineChange[] = [];
  for (const [index, line] of lines.entries()) {
    const now = replaced.get(index) ?? line;
    result.push(now);
    if (now !== line) changes.push({ line: result.length, before: line, after: now });
    if (index !== anchor) continue;
    for (const extra of added) changes.push({ line: result.push(extra), before: null, after: extra });
  }
  const edited = result.join(ending);
  // Whatever the layout of the file was: only a text that says exactly this is handed back.
  if (!says(file, edited, { ...data, [section]: { ...written, ...values } })) throw byHand(file, section, values);
  return { text: edited, changes };
}

function says(file: string, text: string, wanted: object): boolean {
  try {
    return isDeepStrictEqual(structuredClone(parseToml(file, text).data), structuredClone(wanted));
  } catch {
    return false;
  }
}

function byHand(file: string, section: string, values: Readonly<Record<string, Scalar>>): AssistantError {
  const lines = Object.entries(values).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  return new AssistantError(
    "config_invalid",
    `The layout of ${file} does not allow editing it line by line, so it was not changed.`,
    {
      remedy: `Write into its [${section}] yourself: ${lines.join(", ")}.`,
    },
  );
}
