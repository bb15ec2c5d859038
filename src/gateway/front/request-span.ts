import type { IncomingMessage, ServerResponse } from "node:http";
import { type Span, spanOf, type Tracer } from "../../core/trace.ts";
import type { Door } from "./door.ts";

/** Spans of requests that fastify answers. */
const spans = new WeakMap<IncomingMessage, Span>();
/** Reads are not traced: monitors poll every few seconds. */
const READING: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
const SERVER_FAULT = 500;

export interface TracedRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly id: string;
  /** Without query. */
  readonly path: string;
  /** As in the table; undefined: no route. */
  readonly route: string | undefined;
  /** Monotonic milliseconds. */
  readonly arrivedAt: number;
}

/** The server's span of an HTTP request, which ends with its response. Null if it is not traced. */
export function beginRequest(
  tracer: Tracer | null,
  { request, response, id, path, route, arrivedAt }: TracedRequest,
): Span | null {
  const { method = "", headers, socket } = request;
  const isTraced = tracer !== null && !READING.has(method);
  const span = spanOf(isTraced ? tracer : null, headers, route === undefined ? method : `${method} ${route}`, () => ({
    kind: "server",
    at: arrivedAt,
    attributes: {
      "http.request.method": method,
      "http.route": route,
      "url.path": path.slice(0, 200),
      "url.scheme": "http",
      "server.address": socket.localAddress,
      "server.port": socket.localPort,
      "client.address": socket.remoteAddress,
      "user_agent.original": headers["user-agent"]?.slice(0, 200),
      "assistant.request.id": id,
    },
  }));
  if (span === null) return null;
  spans.set(request, span);
  if (span.isRecorded) response.once("close", () => endRequest(span, response));
  return span;
}

function endRequest(span: Span, { statusCode, headersSent }: ServerResponse): void {
  // Without a head, the client disconnected first.
  if (headersSent) span.set({ "http.response.status_code": statusCode });
  if (!headersSent || statusCode < SERVER_FAULT) span.end();
  else span.end({ error: { message: `status ${statusCode}` } });
}

/** The span of a request that fastify answers. */
export const spanOfRequest = (request: IncomingMessage): Span | null =>
  spans.get(request) ?? spanOf(null, request.headers, "", () => ({}));

/**
 * The id of the request in a door's errors: its trace, if the door uses those and there is one, otherwise its own id.
 */
export const errorIdOf = ({ namesTrace = false }: Pick<Door, "namesTrace">, span: Span | null, id: string): string =>
  namesTrace && span !== null ? span.traceId : id;
