import type { TelemetrySettings } from "../../core/config.ts";
import type { Tracing } from "./start.ts";
import type { ExportLog } from "./watched-exporter.ts";

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
