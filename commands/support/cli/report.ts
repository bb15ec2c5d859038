import { styleText } from "node:util";
import { AssistantError, isAssistantError, toAssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { printable } from "../../../src/ui/printable.ts";

/** The error as `--json` prints it. */
export interface ErrorReport {
  readonly error: { readonly code: string; readonly message: string; readonly remedy: string | null };
}

/** oclif's own errors (wrong flags, missing arguments) carry their exit code here. */
interface OclifError extends Error {
  readonly oclif?: { readonly exit?: number };
  /** Options that do not exist, as they were typed. */
  readonly flags?: readonly string[];
}

/**
 * Turns whatever a command threw into the catalogue's error; complaints of oclif's parser become `usage`. `options`:
 * the names of the command's options, of which the nearest is suggested for one that does not exist.
 */
export function toReportable(error: unknown, options: readonly string[] = []): AssistantError {
  if (isAssistantError(error)) return error;
  if (error instanceof Error && (error as OclifError).oclif !== undefined) {
    const message = error.message.replace(/\n?See more help with --help\s*$/u, "").trim();
    const [wrong] = (error as OclifError).flags ?? [];
    const [nearest] = wrong === undefined ? [] : nearestNames(wrong.replace(/^-+/u, ""), options, 1);
    const guess = nearest === undefined ? "" : `Did you mean \`--${nearest}\`? `;
    return new AssistantError("usage", inOurWords(message), {
      remedy: `${guess}Add \`--help\` to the command to see its arguments and options.`,
      cause: error,
    });
  }
  return toAssistantError(error);
}

/**
 * What oclif's parser complains of, the way the rest of the program says it. A complaint that is not known stays as it
 * is.
 */
export function inOurWords(complaint: string): string {
  const text = complaint.replace(/^The following errors? occurred:\s*/u, "").replace(/^Parsing (--\S+)\s+/u, "$1: ");
  for (const [pattern, sentence] of complaints) {
    const match = pattern.exec(text);
    if (match !== null) return sentence(...match.slice(1));
  }
  return text;
}

const complaints: readonly (readonly [RegExp, (...parts: string[]) => string])[] = [
  [/^Missing \d+ required args?:\n([\s\S]+)$/u, missingArguments],
  [/^Nonexistent flags?: (.+)$/u, (names) => `There is no option ${quoted(names)}.`],
  [/^Flag (--\S+) expects a value$/u, (flag) => `\`${flag}\` needs a value.`],
  [
    /^(--[\w-]+): Expected (an integer.*?) but received: (.*)$/u,
    (flag, wanted, found) =>
      `\`${flag}\`: expected ${wanted.replace("greater than or equal to", "of at least").replace("less than or equal to", "of at most")}, found \`${found}\`.`,
  ],
  [
    /^Expected (--[\w-]+)=(.*) to be one of: (.+)$/u,
    (flag, found, known) => `\`${flag}\`: expected one of ${known}, found \`${found}\`.`,
  ],
  [
    /^All of the following must be provided when using (--[\w-]+): (.+)$/u,
    (flag, others) => `\`${flag}\` is only used with ${quoted(others)}.`,
  ],
  [
    /^(--[\w-]+)(?:=.*)? cannot also be provided when using (--[\w-]+)$/u,
    (flag, other) => `\`${flag}\` and \`${other}\` exclude each other.`,
  ],
  [/^Unexpected arguments?: (.+)$/u, (found) => `There is an argument too many: ${quoted(found)}.`],
];

const quoted = (names: string): string =>
  names
    .split(", ")
    .map((name) => `\`${name}\``)
    .join(" and ");

/** oclif lists them as a table whose descriptions may go on in lines that are indented. */
function missingArguments(table = ""): string {
  const entries = table
    .replace(/\n\s+/gu, " ")
    .split("\n")
    .map((line) => /^(\S+)\s*(.*)$/u.exec(line.trim()));
  return entries
    .map((entry) => `${(entry?.[1] ?? "").toUpperCase()} is missing${entry?.[2] ? `: ${entry[2]}` : ""}.`)
    .join("\n");
}

/** `this.exit(n)` of a command is thrown too; it has nothing to say, only a code. */
export function exitCodeOf(error: unknown): number | null {
  const oclif = (error as OclifError | null)?.oclif;
  return error instanceof Error && error.message.startsWith("EEXIT") && oclif?.exit !== undefined ? oclif.exit : null;
}

export const reportJson = (error: AssistantError): ErrorReport => ({
  error: { code: error.code, message: error.message, remedy: error.remedy },
});

/** What stderr shows: the sentence, then what to do. With `debug` also where it came from. */
export function reportText(
  error: AssistantError,
  options: { readonly colour: boolean; readonly debug: boolean },
): string {
  const label = options.colour ? styleText("red", "Error:", { validateStream: false }) : "Error:";
  const lines = [error.message];
  if (error.remedy !== null) lines.push(error.remedy);
  if (options.debug)
    lines.push(
      error.stack ?? "",
      error.cause === undefined ? "" : `caused by ${(error.cause as Error).stack ?? String(error.cause)}`,
    );
  else if (error.code === "internal")
    lines.push("This is a bug in Assistant. Run it again with ASSISTANT_DEBUG=1 for details, and please report it.");
  return `${label} ${printable(lines.filter((line) => line !== "").join("\n"))}\n`;
}
