import { styleText } from "node:util";
import { AssistantError, isAssistantError, toAssistantError } from "../../core/errors.ts";

/** The error as `--json` prints it. */
export interface ErrorReport {
  readonly error: { readonly code: string; readonly message: string; readonly remedy: string | null };
}

/** oclif's own errors (wrong flags, missing arguments) carry their exit code here. */
interface OclifError extends Error {
  readonly oclif?: { readonly exit?: number };
}

/** Turns whatever a command threw into the catalogue's error; complaints of oclif's parser become `usage`. */
export function toReportable(error: unknown): AssistantError {
  if (isAssistantError(error)) return error;
  if (error instanceof Error && (error as OclifError).oclif !== undefined) {
    const message = error.message.replace(/\n?See more help with --help\s*$/u, "").trim();
    return new AssistantError("usage", message, { remedy: "Add `--help` to the command to see what it takes.", cause: error });
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
  else if (error.code === "internal") lines.push("This is a fault of Assistant's own. Run it again with ASSISTANT_DEBUG=1 for the details, and please report it.");
  return `${lines.filter((line) => line !== "").join("\n")}\n`;
}
