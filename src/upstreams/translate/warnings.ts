import type { AskedModel } from "./dialect.ts";
import { refused } from "./refuse.ts";
import type { CallOptions, Warning } from "./sdk.ts";

/** The field of a request that a warning of the SDK concerns. */
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

/** Throws `invalid_request` if the SDK would omit a requested setting. */
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
  // Fewer tokens than requested satisfy the limit.
  if (!("feature" in warning) || warning.feature === "maxOutputTokens") return false;
  // Effort levels differ between models anyway; no effort at all is a guarantee.
  return warning.type === "unsupported" || (warning.feature === "reasoning" && options.reasoning === "none");
}

/** The problem reported by the SDK, without its workaround, and with the client's name of the field. */
function reasonOf({ feature, details }: Refusal, field = feature): string {
  const [reason = ""] = details?.split(/\. | and will be ignored/) ?? [];
  return reason === "" ? "the provider has no such setting" : reason.replaceAll(feature, field).replace(/\.$/, "");
}
