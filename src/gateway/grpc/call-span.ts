import type { Metadata } from "@grpc/grpc-js";
import { type Span, spanOf, type Tracer } from "../../core/trace.ts";

const TRACE_HEADERS = ["traceparent", "tracestate"] as const;

/**
 * The server's span of a gRPC call. Null where it is part of no trace. `path`: the method's, such as
 * `/package.Service/Method`.
 */
export function beginCall(
  tracer: Tracer | null,
  path: string,
  headers: Readonly<Record<string, string>>,
  attributes: { readonly route?: string; readonly id: string },
): Span | null {
  const [service, method] = path.slice(1).split("/");
  return spanOf(tracer, headers, path.slice(1), () => ({
    kind: "server",
    attributes: {
      "rpc.system": "grpc",
      "rpc.service": service,
      "rpc.method": method,
      "url.path": attributes.route?.slice(0, 200),
      "assistant.request.id": attributes.id,
    },
  }));
}

/** What a call's metadata say of its trace. */
export function traceOf(metadata: Pick<Metadata, "get">): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of TRACE_HEADERS) {
    const [value] = metadata.get(name);
    if (typeof value === "string") found[name] = value;
  }
  return found;
}
