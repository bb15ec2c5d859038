import {
  type Context,
  type Span as OtelApiSpan,
  type Tracer as OtelApiTracer,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  SpanStatusCode,
  TraceFlags,
  trace,
} from "@opentelemetry/api";
import { TraceState } from "@opentelemetry/core";
import type { Span, SpanAttributes, SpanEnd, SpanOptions, TraceHeaders, Tracer } from "../../core/trace.ts";

const kinds = { server: SpanKind.SERVER, client: SpanKind.CLIENT, internal: SpanKind.INTERNAL } as const;

/** What all spans of a trace share. */
interface Recording {
  readonly tracer: OtelApiTracer;
  readonly recordsContent: boolean;
  /**
   * Epoch of the monotonic clock as it was when the trace began here: one for all, so that no span begins before its
   * parent.
   */
  readonly originMs: number;
}

/** The port on an OpenTelemetry tracer. */
export class OtelTracer implements Tracer {
  readonly #tracer: OtelApiTracer;
  readonly #recordsContent: boolean;

  constructor(tracer: OtelApiTracer, recordsContent: boolean) {
    this.#tracer = tracer;
    this.#recordsContent = recordsContent;
  }

  begin(name: string, from: Partial<TraceHeaders>, options: SpanOptions = {}): Span {
    const parent = from.traceparent === undefined ? null : spanContextOf(from.traceparent, from.tracestate);
    const context = parent === null ? ROOT_CONTEXT : trace.setSpanContext(ROOT_CONTEXT, parent);
    const originMs = Date.now() - performance.now();
    return begun({ tracer: this.#tracer, recordsContent: this.#recordsContent, originMs }, context, name, options);
  }
}

function begun(recording: Recording, context: Context, name: string, options: SpanOptions): Span {
  const { kind = "internal", at = performance.now(), attributes } = options;
  const span = recording.tracer.startSpan(
    name,
    { kind: kinds[kind], startTime: at + recording.originMs, ...(attributes === undefined ? {} : { attributes }) },
    context,
  );
  return new OtelSpan(recording, span);
}

class OtelSpan implements Span {
  readonly #recording: Recording;
  readonly #span: OtelApiSpan;

  constructor(recording: Recording, span: OtelApiSpan) {
    this.#recording = recording;
    this.#span = span;
  }

  get traceId(): string {
    return this.#span.spanContext().traceId;
  }

  get headers(): TraceHeaders {
    const { traceId, spanId, traceFlags, traceState } = this.#span.spanContext();
    const traceparent = `00-${traceId}-${spanId}-${(traceFlags & TraceFlags.SAMPLED).toString(16).padStart(2, "0")}`;
    const tracestate = traceState?.serialize() ?? "";
    return tracestate === "" ? { traceparent } : { traceparent, tracestate };
  }

  get isRecorded(): boolean {
    return this.#span.isRecording();
  }

  get recordsContent(): boolean {
    return this.#recording.recordsContent && this.isRecorded;
  }

  child(name: string, options: SpanOptions = {}): Span {
    if (!this.isRecorded) return this;
    return begun(this.#recording, trace.setSpan(ROOT_CONTEXT, this.#span), name, options);
  }

  set(attributes: SpanAttributes): void {
    if (this.isRecorded) this.#span.setAttributes(attributes);
  }

  end({ at = performance.now(), error = null }: SpanEnd = {}): void {
    // What was not sampled is shared by its children.
    if (!this.isRecorded) return;
    if (error !== null) this.#span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
    this.#span.end(at + this.#recording.originMs);
  }
}

/** Of a `traceparent` that was checked. */
function spanContextOf(traceparent: string, tracestate: string | undefined): SpanContext {
  const [, traceId = "", spanId = "", flags = "00"] = traceparent.split("-");
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16) & TraceFlags.SAMPLED, isRemote: true };
  return tracestate === undefined ? context : { ...context, traceState: new TraceState(tracestate) };
}
