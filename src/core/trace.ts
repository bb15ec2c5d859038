import type { IncomingHttpHeaders } from "node:http";

type SpanValue = string | number | boolean | string[];
/** By their names in OpenTelemetry's conventions; what is undefined is left out. */
export type SpanAttributes = Readonly<Record<string, SpanValue | undefined>>;

export interface SpanOptions {
  /** Default: `internal`. */
  readonly kind?: "server" | "client" | "internal";
  /** When it began, in monotonic milliseconds (`performance.now()`). Default: now. */
  readonly at?: number;
  readonly attributes?: SpanAttributes;
}

export interface SpanEnd {
  /** Monotonic milliseconds. Default: now. */
  readonly at?: number;
  /** Why the work failed; missing: it did not. Never holds what a user wrote. */
  readonly error?: { readonly message: string } | null;
}

/** Headers that carry a trace into another program, as W3C Trace Context has them. */
export interface TraceHeaders {
  readonly traceparent: string;
  readonly tracestate?: string;
}

/** One piece of work within a trace. Nothing here throws, waits or does I/O. */
export interface Span {
  /** 32 hex digits, the same for all spans of a trace. */
  readonly traceId: string;
  /** For the requests that this work causes elsewhere. */
  readonly headers: TraceHeaders;
  /** Whether anybody will see what is recorded; where not, `set` and `child` do nothing. */
  readonly isRecorded: boolean;
  /** Whether prompts and answers are to be recorded, too. */
  readonly recordsContent: boolean;
  child(name: string, options?: SpanOptions): Span;
  set(attributes: SpanAttributes): void;
  /** Once, as the last call. */
  end(end?: SpanEnd): void;
}

/** Begins traces. Absent where nothing is traced. */
export interface Tracer {
  /** Goes on with the trace that the headers name; without one, begins a new one. */
  begin(name: string, from: Partial<TraceHeaders>, options?: SpanOptions): Span;
}

const MAX_STATE_LENGTH = 512;

/** The trace that a request's headers name; null where they name none, or not as W3C's recommendation has it. */
export function traceHeadersOf({ traceparent, tracestate }: IncomingHttpHeaders): TraceHeaders | null {
  if (typeof traceparent !== "string" || traceIdOf(traceparent) === null) return null;
  const isUsable = typeof tracestate === "string" && tracestate !== "" && tracestate.length <= MAX_STATE_LENGTH;
  return isUsable ? { traceparent, tracestate } : { traceparent };
}

/** Null for what is no `traceparent`. */
function traceIdOf(traceparent: string): string | null {
  const found = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?$/.exec(traceparent);
  if (found === null) return null;
  const [, version = "", traceId = "", spanId = "", rest] = found;
  if (version === "ff" || (version === "00" && rest !== undefined)) return null;
  return /^0+$/.test(traceId) || /^0+$/.test(spanId) ? null : traceId;
}

/** A trace that is passed on to others, and of which nothing is recorded here. */
class PassedSpan implements Span {
  readonly headers: TraceHeaders;
  readonly isRecorded = false;
  readonly recordsContent = false;

  constructor(headers: TraceHeaders) {
    this.headers = headers;
  }

  get traceId(): string {
    return traceIdOf(this.headers.traceparent) ?? "";
  }
  child(): Span {
    return this;
  }
  set(): void {}
  end(): void {}
}

/**
 * The span of a request: the tracer's if there is one, otherwise a pass-through of its headers; null: neither. Requests
 * without tracing allocate nothing here.
 */
export function spanOf(
  tracer: Tracer | null,
  headers: IncomingHttpHeaders,
  name: string,
  options: () => SpanOptions,
): Span | null {
  if (tracer === null && headers["traceparent"] === undefined) return null;
  const from = traceHeadersOf(headers);
  if (tracer !== null) return tracer.begin(name, from ?? {}, options());
  return from === null ? null : new PassedSpan(from);
}

/** Name of the span of one attempt of a task. */
export const TASK_SPAN = "task_execution";
