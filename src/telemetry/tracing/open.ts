import type { TelemetrySettings } from "../../core/config.ts";
import type { Tracer } from "../../core/trace.ts";
import type { ExportLog } from "./watched-exporter.ts";

export interface Tracing {
  readonly tracer: Tracer;
  /** Sends what has not been sent, as far as that takes no time to speak of. Never rejects. */
  close(): Promise<void>;
}

/** Null where nothing is to be traced: then nothing of OpenTelemetry is loaded. */
export async function openTracing(
  settings: TelemetrySettings,
  version: string,
  log: ExportLog,
): Promise<Tracing | null> {
  if (settings.otlp === null && settings.langfuse === null) return null;
  const { startTracing } = await import("./start.ts");
  return await startTracing(settings, version, log);
}
