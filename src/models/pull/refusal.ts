import { AssistantError, isAssistantError, toAssistantError } from "../../core/errors.ts";
import type { Source } from "./types.ts";

/** A source that did not deliver, and why. */
export interface Failure {
  readonly source: Source;
  readonly error: unknown;
}

/** The message if no source delivered: a single source's own error, or a list of several. */
export function refusal(name: string, failures: readonly Failure[]): AssistantError {
  const [first] = failures;
  if (failures.length === 1 && isAssistantError(first?.error)) {
    if (first.error.code === "digest_mismatch") {
      return new AssistantError("digest_mismatch", `${first.source.label}: ${first.error.message}.`, {
        remedy: first.error.remedy ?? "",
        cause: first.error,
      });
    }
    if (first.error.code !== "pull_failed") return first.error;
  }
  const list = failures.map(
    ({ source, error }) =>
      `  ${source.label}: ${isAssistantError(error) ? error.message : toAssistantError(error).message}`,
  );
  const count = failures.length === 1 ? "its source failed" : `none of ${failures.length} sources could deliver it`;
  return new AssistantError("pull_failed", `${name} could not be pulled; ${count}:\n${list.join("\n")}`, {
    remedy: `Check the network (HTTPS_PROXY and HF_ENDPOINT are honoured) and try again, or import a file that you have: \`assistant pull ./FILE.gguf --name ${name}\`.`,
    cause: new AggregateError(failures.map((failure) => failure.error)),
  });
}
