import type { TelemetrySettings } from "../core/config.ts";

/** The destination of traces. */
export interface TracingFacts {
  readonly enabled: boolean;
  /** Null: nowhere. */
  readonly platform: "langfuse" | "opentelemetry" | null;
  /** Scheme, host and port. */
  readonly host: string | null;
}

export function tracingFacts({ langfuse, otlp }: Pick<TelemetrySettings, "langfuse" | "otlp">): TracingFacts {
  const url = langfuse?.baseUrl ?? otlp?.url ?? null;
  // Without other parts of the URL, such as a password.
  const host = url === null ? null : (URL.parse(url)?.origin ?? null);
  const platform = langfuse !== null ? "langfuse" : otlp !== null ? "opentelemetry" : null;
  return { enabled: platform !== null, platform, host };
}
