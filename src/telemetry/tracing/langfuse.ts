import { LangfuseSpanProcessor } from "@langfuse/otel";
import type { Attributes } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import type { ReadableSpan, Span, SpanProcessor } from "@opentelemetry/sdk-trace-base";
import type { TelemetrySettings } from "../../core/config.ts";
import { TASK_SPAN } from "../../core/trace.ts";
import { type ExportLog, WatchedExporter } from "./watched-exporter.ts";

const TRACES_PATH = "/api/public/otel/v1/traces";
const MS_PER_S = 1_000;

/** Sends the model calls of each trace, and the tasks they belong to, to Langfuse, named as Langfuse names things. */
export function langfuseProcessor(
  { baseUrl, publicKey, secretKey }: NonNullable<TelemetrySettings["langfuse"]>,
  { timeoutMs, batchDelayMs }: Pick<TelemetrySettings, "timeoutMs" | "batchDelayMs">,
  log: ExportLog,
): SpanProcessor {
  const credentials = Buffer.from(`${publicKey}:${secretKey}`).toString("base64");
  const exporter = new OTLPTraceExporter({
    url: `${baseUrl}${TRACES_PATH}`,
    headers: { authorization: `Basic ${credentials}`, "x-langfuse-public-key": publicKey },
    timeoutMillis: timeoutMs,
  });
  const inner = new LangfuseSpanProcessor({
    publicKey,
    secretKey,
    baseUrl,
    exporter: new WatchedExporter(exporter, new URL(baseUrl).host, log),
    flushInterval: batchDelayMs / MS_PER_S,
    mediaUploadEnabled: false,
    shouldExportSpan: ({ otelSpan }) => isShown(otelSpan),
  });
  return {
    onStart: (span: Span, context) => inner.onStart(span, context),
    // Others export the same span, as it is.
    onEnd: (span) =>
      inner.onEnd(Object.create(span, { attributes: { value: langfuseAttributes(span) } }) as ReadableSpan),
    forceFlush: () => inner.forceFlush(),
    shutdown: () => inner.shutdown(),
  };
}

const isCall = ({ attributes }: Pick<ReadableSpan, "attributes">): boolean =>
  attributes["gen_ai.operation.name"] !== undefined;

const isShown = (span: Pick<ReadableSpan, "name" | "attributes">): boolean => span.name === TASK_SPAN || isCall(span);

/** A span's attributes, and those by which Langfuse finds session, user, task, prompt and answer. */
export function langfuseAttributes(span: Pick<ReadableSpan, "name" | "attributes">): Attributes {
  const { name, attributes } = span;
  const isTask = name === TASK_SPAN;
  const model = attributes["gen_ai.response.model"] ?? attributes["gen_ai.request.model"];
  return present({
    ...attributes,
    "langfuse.observation.type": isCall(span) ? kindOf(attributes) : "span",
    "session.id": attributes["gen_ai.conversation.id"],
    "user.id": attributes["assistant.tenant"],
    "langfuse.trace.input": attributes["gen_ai.input.messages"],
    "langfuse.trace.output": attributes["gen_ai.output.messages"],
    "langfuse.observation.input": attributes["gen_ai.input.messages"],
    "langfuse.observation.output": attributes["gen_ai.output.messages"],
    ...(isTask
      ? {
          "langfuse.trace.name": TASK_SPAN,
          "langfuse.trace.metadata.task_id": attributes["assistant.task.id"],
          "langfuse.trace.metadata.model": model,
        }
      : { "langfuse.observation.model.name": model }),
    ...(attributes["error.type"] === undefined ? {} : { "langfuse.observation.level": "ERROR" }),
  });
}

const kindOf = (attributes: Attributes): string =>
  attributes["gen_ai.operation.name"] === "embeddings" ? "embedding" : "generation";

const present = (attributes: Attributes): Attributes =>
  Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined));
