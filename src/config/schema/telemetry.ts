import { defaults } from "../defaults.ts";
import { decimal, flag, section, text } from "./kit.ts";

/** `[telemetry]` of config.toml. */
export const TelemetrySection = section(
  {
    otlp_endpoint: text(
      "Base URL of an OpenTelemetry collector that takes OTLP over HTTP, to which traces are sent; `/v1/traces` is appended.",
      { pattern: "^https?://", patternText: 'an http or https URL, such as "http://127.0.0.1:4318"', minLength: 1 },
    ),
    service_name: text("`service.name` of the traces.", { default: defaults.serviceName, minLength: 1 }),
    sample_ratio: decimal(
      "Share of the traces that are recorded. A request that comes with a trace is recorded where its caller records it.",
      { minimum: 0, maximum: 1, default: defaults.sampleRatio },
    ),
    record_content: flag(
      "Record prompts and answers in traces, too: whoever may see the traces may read them. The first 64 KiB of each.",
      { default: false },
    ),
  },
  "Traces, for OpenTelemetry and Langfuse. Off without an endpoint and without Langfuse's keys.",
);
