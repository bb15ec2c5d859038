import type { AskedModel } from "./dialect.ts";
import { refused } from "./refuse.ts";
import type { CallOptions, Warning } from "./sdk.ts";

/** Which field of a request a warning of the SDK is about. */
const FIELD_OF: Readonly<Record<string, string>> = {
  temperature: "temperature",
  topP: "top_p",
  topK: "top_k",
  seed: "seed",
  frequencyPenalty: "frequency_penalty",
  presencePenalty: "presence_penalty",
  responseFormat: "response_format",
  toolChoice: "tool_choice",
  strict: "tools",
  reasoning: "reasoning_effort",
  "providerOptions.anthropic.thinking": "reasoning_effort",
  "providerOptions.anthropic.effort": "reasoning_effort",
};

/** Throws `invalid_request` where the SDK would leave something out that was asked for. */
export function refuseWarnings(warnings: readonly Warning[], options: CallOptions, asked: AskedModel): void {
  for (const warning of warnings) {
    if (!isRefusal(warning, options)) continue;
    const field = FIELD_OF[warning.feature];
    throw refused(
      field ?? warning.feature,
      `"${asked.model}" cannot apply the field "${field ?? warning.feature}": ${reasonOf(warning, field)}.`,
      "Omit it, or use another model.",
    );
  }
}

/** The fields that `refuseWarnings` would refuse. */
export const refusedFields = (warnings: readonly Warning[], options: CallOptions): string[] =>
  warnings.filter((warning) => isRefusal(warning, options)).map(({ feature }) => FIELD_OF[feature] ?? feature);

type Refusal = Extract<Warning, { feature: string }>;

function isRefusal(warning: Warning, options: CallOptions): warning is Refusal {
  // Fewer tokens than asked for are not more than asked for.
  if (!("feature" in warning) || warning.feature === "maxOutputTokens") return false;
  // Efforts are steps that every model divides in its own way; no effort at all is a promise.
  return warning.type === "unsupported" || (warning.feature === "reasoning" && options.reasoning === "none");
}

/** What the SDK says is wrong, without what it would have done instead, and with the client's name for the field. */
function reasonOf({ feature, details }: Refusal, field = feature): string {
  const [reason = ""] = details?.split(/\. | and will be ignored/) ?? [];
  return reason === "" ? "the provider has no such setting" : reason.replaceAll(feature, field).replace(/\.$/, "");
}
