import { once } from "node:events";
import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

type Value = string | number | boolean | readonly Value[];

export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  /** "": it is the first of its trace. */
  readonly parentSpanId: string;
  readonly name: string;
  readonly kind: "internal" | "server" | "client";
  /** Milliseconds. */
  readonly startedAt: number;
  readonly endedAt: number;
  readonly attributes: Readonly<Record<string, Value>>;
  /** Null: it did not fail. */
  readonly error: string | null;
  readonly resource: Readonly<Record<string, Value>>;
}

export interface Export {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly spans: readonly CollectedSpan[];
}

/** How a collector takes what it is sent. `hanging`: it reads and never answers. `dead`: nobody listens. */
export type CollectorState = "up" | "hanging" | "dead";

/** A real server that takes traces in OTLP over HTTP, as JSON. */
export interface FakeCollector extends AsyncDisposable {
  /** Without a path. */
  readonly url: string;
  readonly exports: Export[];
  /** Requests, among them those that were not answered. */
  readonly requests: number;
  /** Those that arrived, oldest first. */
  spans(): CollectedSpan[];
  become(state: CollectorState): Promise<void>;
}

export async function startCollector(): Promise<FakeCollector> {
  const exports: Export[] = [];
  const hanging = new Set<ServerResponse>();
  let state: CollectorState = "up";
  let requests = 0;
  const server = createServer(async (request, response) => {
    const body = await request.toArray();
    requests++;
    if (state === "hanging") {
      hanging.add(response);
      return;
    }
    const spans = spansOf(JSON.parse(Buffer.concat(body).toString()) as ExportRequest);
    exports.push({ path: request.url ?? "", headers: request.headers, spans });
    response.setHeader("content-type", "application/json");
    response.end("{}");
  });
  const listen = async (port: number): Promise<number> => {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return (server.address() as AddressInfo).port;
  };
  const stop = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  const port = await listen(0);
  return {
    url: `http://127.0.0.1:${port}`,
    exports,
    get requests() {
      return requests;
    },
    spans: () => exports.flatMap(({ spans }) => spans),
    async become(next) {
      if (next === "dead" && state !== "dead") await stop();
      if (next !== "dead" && state === "dead") await listen(port);
      state = next;
      if (next !== "hanging") for (const response of hanging) response.destroy();
      hanging.clear();
    },
    async [Symbol.asyncDispose]() {
      if (state !== "dead") await stop();
    },
  };
}

interface OtlpValue {
  readonly stringValue?: string;
  readonly boolValue?: boolean;
  /** A number, or a text where it may be too large for one. */
  readonly intValue?: number | string;
  readonly doubleValue?: number;
  readonly arrayValue?: { readonly values?: readonly OtlpValue[] };
}
type OtlpAttributes = readonly { readonly key: string; readonly value: OtlpValue }[];

interface ExportRequest {
  readonly resourceSpans: readonly {
    readonly resource: { readonly attributes: OtlpAttributes };
    readonly scopeSpans: readonly { readonly spans: readonly OtlpSpan[] }[];
  }[];
}
interface OtlpSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: OtlpAttributes;
  readonly status: { readonly code?: number; readonly message?: string };
}

const KINDS = ["internal", "internal", "server", "client"] as const;
const ERROR = 2;
const NS_PER_MS = 1e6;

const spansOf = ({ resourceSpans }: ExportRequest): CollectedSpan[] =>
  resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map((span) => ({
        traceId: span.traceId,
        spanId: span.spanId,
        parentSpanId: span.parentSpanId ?? "",
        name: span.name,
        kind: KINDS[span.kind] ?? "internal",
        startedAt: Number(span.startTimeUnixNano) / NS_PER_MS,
        endedAt: Number(span.endTimeUnixNano) / NS_PER_MS,
        attributes: attributesOf(span.attributes),
        error: span.status.code === ERROR ? (span.status.message ?? "") : null,
        resource: attributesOf(resource.attributes),
      })),
    ),
  );

const attributesOf = (attributes: OtlpAttributes): Record<string, Value> =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, plainOf(value)]));

function plainOf({ stringValue, boolValue, intValue, doubleValue, arrayValue }: OtlpValue): Value {
  if (arrayValue !== undefined) return (arrayValue.values ?? []).map(plainOf);
  if (intValue !== undefined) return Number(intValue);
  return stringValue ?? boolValue ?? doubleValue ?? "";
}
