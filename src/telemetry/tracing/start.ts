import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { resourceFromAttributes } from "@opentelemetry/resources";
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BasicTracerProvider,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanProcessor,
  TraceIdRatioBasedSampler,
} from "@opentelemetry/sdk-trace-base";
import type { Sampling, TelemetrySettings } from "../../core/config.ts";
import type { Tracer } from "../../core/trace.ts";
import { OtelTracer } from "./otel.ts";
import { type ExportLog, WatchedExporter } from "./watched-exporter.ts";

export interface Tracing {
  readonly tracer: Tracer;
  /** Sends pending traces if that is quick. Never rejects. */
  close(): Promise<void>;
}

/** Spans that wait to be sent; further ones are dropped. */
const MAX_QUEUED_SPANS = 2_048;
const MAX_BATCH_SPANS = 512;
/** The end of the daemon waits no longer for a collector. */
const CLOSE_TIMEOUT_MS = 1_000;

/** Loads OpenTelemetry, which takes a tenth of a second, and Langfuse's package where it is used. */
export async function startTracing(settings: TelemetrySettings, version: string, log: ExportLog): Promise<Tracing> {
  const { otlp, langfuse, timeoutMs, batchDelayMs, serviceName } = settings;
  const spanProcessors: SpanProcessor[] = [];
  if (otlp !== null) {
    const exporter = new OTLPTraceExporter({ url: otlp.url, headers: { ...otlp.headers }, timeoutMillis: timeoutMs });
    const watched = new WatchedExporter(exporter, new URL(otlp.url).host, log);
    spanProcessors.push(
      new BatchSpanProcessor(watched, {
        maxQueueSize: MAX_QUEUED_SPANS,
        maxExportBatchSize: MAX_BATCH_SPANS,
        scheduledDelayMillis: batchDelayMs,
      }),
    );
  }
  if (langfuse !== null) {
    const { langfuseProcessor } = await import("./langfuse.ts");
    spanProcessors.push(langfuseProcessor(langfuse, settings, log));
  }
  const provider = new BasicTracerProvider({
    resource: resourceFromAttributes({
      "service.name": serviceName,
      "service.version": version,
      ...settings.resource,
    }),
    sampler: samplerOf(settings.sampling),
    spanProcessors,
  });
  return {
    tracer: new OtelTracer(provider.getTracer("assistant", version), settings.recordsContent),
    close: async () => {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, CLOSE_TIMEOUT_MS);
      await Promise.race([provider.shutdown().catch(() => {}), promise]);
      clearTimeout(timer);
    },
  };
}

function samplerOf({ root: name, ratio, followsParent }: Sampling): Sampler {
  const root =
    name === "always_on"
      ? new AlwaysOnSampler()
      : name === "always_off"
        ? new AlwaysOffSampler()
        : new TraceIdRatioBasedSampler(ratio);
  return followsParent ? new ParentBasedSampler({ root }) : root;
}
