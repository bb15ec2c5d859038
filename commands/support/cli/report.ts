import { styleText } from "node:util";
import { AssistantError, isAssistantError, toAssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";

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
    // A word behind a command that takes none: oclif takes both together for the name of a command.
    const [, command, surplus] = /^command ([^\s:]+):(\S+) not found$/u.exec(message) ?? [];
    if (command !== undefined && surplus !== undefined)
      return new AssistantError("usage", `\`assistant ${command}\` takes no argument, found \`${surplus.replaceAll(":", " ")}\`.`, {
        remedy: "Add `--help` to the command to see what it takes.",
        cause: error,
      });
    const [wrong] = (error as OclifError).flags ?? [];
    const [nearest] = wrong === undefined ? [] : nearestNames(wrong.replace(/^-+/u, ""), options, 1);
    const guess = nearest === undefined ? "" : `Did you mean \`--${nearest}\`? `;
    return new AssistantError("usage", message, { remedy: `${guess}Add \`--help\` to the command to see what it takes.`, cause: error });
  }
  return toAssistantError(error);
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
export function reportText(error: AssistantError, options: { readonly colour: boolean; readonly debug: boolean }): string {
  const label = options.colour ? styleText("red", "Error:", { validateStream: false }) : "Error:";
  const lines = [`${label} ${error.message}`];
  if (error.remedy !== null) lines.push(error.remedy);
  if (options.debug) lines.push(error.stack ?? "", error.cause === undefined ? "" : `caused by ${(error.cause as Error).stack ?? String(error.cause)}`);
  else if (error.code === "internal") lines.push("This is a bug in Assistant. Run it again with ASSISTANT_DEBUG=1 for details, and please report it.");
  return `${lines.filter((line) => line !== "").join("\n")}\n`;
}
