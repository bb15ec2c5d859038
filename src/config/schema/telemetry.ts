import { defaults } from "../defaults.ts";
import { decimal, flag, section, text } from "./kit.ts";

/** `[telemetry]` of config.toml. */
export const TelemetrySection = section(
  {
    otlp_endpoint: text(
      "Base URL of an OpenTelemetry collector that takes OTLP over HTTP, to which traces are sent; " +
        "`/v1/traces` is appended.",
      { pattern: "^https?://", patternText: 'an http or https URL, such as "http://127.0.0.1:4318"', minLength: 1 },
    ),
    service_name: text("`service.name` of the traces.", { default: defaults.serviceName, minLength: 1 }),
    sample_ratio: decimal(
      "Share of traces that are recorded. A request that is part of a trace follows its caller's decision.",
      { minimum: 0, maximum: 1, default: defaults.sampleRatio },
    ),
    record_content: flag(
      "Also record prompts and answers, the first 64 KiB of each. Anybody with access to the traces can read them.",
      { default: false },
    ),
  },
  "Traces for OpenTelemetry and Langfuse. Disabled unless an endpoint or Langfuse's keys are set.",
);
