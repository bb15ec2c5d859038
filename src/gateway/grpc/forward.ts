import { validateHeaderName, validateHeaderValue } from "node:http";
import type { ServerUnaryCall, ServerWritableStream } from "@grpc/grpc-js";
import type { ForwardRequest, ForwardResponse, Sent } from "../../api/assistant-service.ts";
import { requestHeaders } from "../../api/headers.ts";
import { Cancellation } from "../../core/cancellation.ts";
import { AssistantError, presentable } from "../../core/errors.ts";
import { newRequestId } from "../../core/ids.ts";
import type { Span, Tracer } from "../../core/trace.ts";
import { CallerGone } from "../../core/upstream.ts";
import type { InferenceCore } from "../../inference/core.ts";
import type { Authorizer, Identity } from "../front/authorize.ts";
import { tooLarge } from "../front/body.ts";
import { callHeaders } from "../front/call-headers.ts";
import { clientIdOf } from "../front/client-ids.ts";
import { checkContentEncoding, decodeContent } from "../front/content-encoding.ts";
import type { Door, InferenceRoute } from "../front/door.ts";
import { noteRefusal, type RefusalPorts } from "../front/refusals.ts";
import { selectorOf } from "../front/selector.ts";
import { type Methods, methodNotAllowed, routeNotFound } from "../front/table.ts";
import { parseTarget, type RequestTarget } from "../front/target.ts";
import type { GatewayRoutes } from "../gateway.ts";
import type { GatewaySettings } from "../ports.ts";
import { beginCall, traceOf } from "./call-span.ts";
import { GrpcSink, type Reply } from "./sink.ts";
import { errorOf, isFailure } from "./status.ts";

export interface ForwardOptions extends RefusalPorts {
  readonly routes: GatewayRoutes;
  readonly inference: InferenceCore;
  readonly authorizer: Authorizer;
  readonly settings: () => GatewaySettings;
  /** Null: nothing is traced here. */
  readonly tracer: Tracer | null;
}

export type ForwardCall =
  | ServerUnaryCall<ForwardRequest, Sent<ForwardResponse>>
  | ServerWritableStream<ForwardRequest, Sent<ForwardResponse>>;

/** A call as an HTTP request of the same routes: the method and the headers, names in lower case. */
interface Incoming {
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const MAX_PATH_BYTES = 2_000;
const MAX_TIMEOUT_MS = 86_400_000;

/** Paths that a call may name, for GetInfo. */
export const endpointsOf = ({ table, openAi }: GatewayRoutes): string[] =>
  table.pathsOf(openAi).filter((path) => path.startsWith("/v1/"));

/**
 * Answers one call as the HTTP routes would: the same guards, the same inference core, no HTTP between. Never rejects.
 * The caller's disconnecting and its deadline end the work, in every phase.
 */
export async function forward(options: ForwardOptions, call: ForwardCall, reply: Reply): Promise<void> {
  const { routes, authorizer, tracer } = options;
  let span: Span | null = null;
  let answer: GrpcSink | null = null;
  let id = "";
  let clientId: string | null = null;
  try {
    const incoming = incomingOf(call);
    const target = parseTarget(call.request.path);
    const methods = routes.table.find(target);
    if (!isOfApi(routes.forwarded, target, methods)) throw notForwarded(call.request.path);
    id = newRequestId();
    clientId = clientIdOf(incoming.headers);
    span = beginCall(tracer, call.getPath(), incoming.headers, { route: target.path, id });
    answer = new GrpcSink({ reply, door: routes.openAi, requestId: clientId ?? id, streamed: false });
    const entry = methods?.get(incoming.method);
    if (entry?.inference === null) {
      await fromMemory(options, target, incoming, reply);
      return;
    }
    if (entry === undefined) {
      authorizer.authorize(routes.openAi.credential(incoming.headers), "inference");
      throw methods === undefined
        ? routeNotFound(target.path)
        : methodNotAllowed(incoming.method, target.path, methods);
    }
    const identity = authorizer.authorize(entry.door.credential(incoming.headers), "inference");
    const ended = authorizer.admit(identity);
    await serve(options, call, incoming, {
      door: entry.door,
      route: entry.inference,
      target,
      identity,
      id,
      clientId,
      span,
      reply,
    }).finally(() => ended?.());
  } catch (thrown) {
    const error = presentable(thrown);
    span?.set({ "error.type": error.code });
    const { method, path } = call.request;
    noteRefusal(options, { id, clientId, method, path: path.split("?")[0] ?? "" }, error);
    // Until a call is known to be a request of the API, what is wrong with it is a gRPC status.
    if (answer === null) reply.fail(error);
    else answer.fail(error, [], true);
  } finally {
    span?.end();
  }
}

/** Whatever a path is written like, it leads to no other door. Handlers take tensors, which those doors have not. */
const isOfApi = (doors: readonly Door[], { path }: RequestTarget, methods: Methods | undefined): boolean =>
  methods === undefined
    ? path.startsWith("/v1/")
    : [...methods.values()].every(
        ({ door, inference }) => doors.includes(door) || (inference !== null && INFERENCES.has(inference.name)),
      );

const INFERENCES: ReadonlySet<string> = new Set(["/v2/models/{model}/infer", "/v2/models/{model}/infer_stream"]);

const notForwarded = (path: string): AssistantError =>
  new AssistantError(
    "route_not_found",
    `ForwardRequest takes paths of the OpenAI-compatible API, such as /v1/chat/completions, llama-server's, and /v2/models/MODEL/infer; found ${JSON.stringify(path.slice(0, 100))}.`,
  );

interface Admitted {
  readonly door: Door;
  readonly route: InferenceRoute;
  readonly target: RequestTarget;
  readonly identity: Identity;
  readonly id: string;
  readonly clientId: string | null;
  readonly span: Span | null;
  readonly reply: Reply;
}

async function serve(
  { inference, settings, routes: { clientIds } }: ForwardOptions,
  call: ForwardCall,
  { headers, body: written }: Incoming,
  admitted: Admitted,
): Promise<void> {
  const { door, route, target, identity, id, clientId, span, reply } = admitted;
  const { caller } = identity;
  const { operation, wire, name } = route;
  const cancellation = new Cancellation();
  const leave = (): void => cancellation.cancel(new CallerGone());
  call.once("cancelled", leave);
  if (call.cancelled) leave();
  const origin = { id, clientId, caller, route: name, arrivedAt: performance.now(), cancellation, span };
  const sinkFor = (streamed: boolean): GrpcSink => new GrpcSink({ reply, door, requestId: clientId ?? id, streamed });
  if (clientId !== null) clientIds.begin(caller.tenant, clientId, id);
  try {
    route.checkHeaders(headers);
    checkContentEncoding(headers);
    const { bodyLimitBytes } = settings();
    if (written.length > bodyLimitBytes) throw tooLarge(bodyLimitBytes);
    const bytes = await decodeContent(written, headers, bodyLimitBytes);
    const { model, capabilities, translate, answer, priority, ...decoded } = await route.decode(
      bytes,
      headers,
      target,
      caller,
    );
    const selector = selectorOf(headers, capabilities === undefined ? { model } : { model, capabilities }, null);
    const sink = sinkFor(decoded.streamed);
    const headed = callHeaders(headers, decoded.streamed, priority ?? identity.caller.priority);
    const asked = { ...origin, selector, operation, wire, ...headed, ...decoded };
    if (answer === undefined) await inference.run(asked, translate?.(sink) ?? sink);
    else await answer(asked, sink, identity);
  } catch (error) {
    inference.refuse(origin, sinkFor(false), error);
  } finally {
    if (clientId !== null) clientIds.end(caller.tenant, clientId, id);
  }
}

async function fromMemory(
  { routes }: ForwardOptions,
  { url, path }: RequestTarget,
  incoming: Incoming,
  reply: Reply,
): Promise<void> {
  const { method, headers, body } = incoming;
  // `inject` resolves dot segments, even escaped ones, and would answer another route than the one that was looked up.
  if (new URL(url, "http://localhost").pathname !== url.split("?")[0]) throw routeNotFound(path);
  const answer = await routes.memory.inject({
    method: method as "GET",
    url,
    headers: { ...headers, host: "localhost" },
    ...(body.length === 0 ? {} : { payload: body }),
  });
  const { statusCode: status, rawPayload } = answer;
  if (isFailure(status))
    return reply.fail(errorOf(status, rawPayload.toString(), answer.headers["retry-after"]?.toString()));
  reply.head(status, textOf(answer.headers));
  reply.body(rawPayload);
  reply.end();
}

const textOf = (headers: Readonly<Record<string, unknown>>): Record<string, string> =>
  Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined || HOP_BY_HOP.has(name) ? [] : [[name, String(value)]],
    ),
  );

const HOP_BY_HOP = new Set(["connection", "keep-alive", "transfer-encoding"]);
/** About the connection, or about a browser. */
const DROPPED = new Set([...HOP_BY_HOP, "content-length", "expect", "host", "origin", "te", "trailer", "upgrade"]);

/** Throws `route_not_found` or `invalid_request`. */
function incomingOf(call: ForwardCall): Incoming {
  const { path, body, method: stated, headers: given } = call.request;
  if (!isPlainPath(path)) throw notForwarded(path);
  const method = stated === "" ? (body.length > 0 ? "POST" : "GET") : stated.toUpperCase();
  if (!/^[A-Z]{1,16}$/.test(method)) {
    throw new AssistantError("invalid_request", `${JSON.stringify(stated.slice(0, 40))} is not an HTTP method.`, {
      param: "method",
    });
  }
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(given))
    if (!DROPPED.has(name.toLowerCase())) headers[name.toLowerCase()] = checked(name, value);
  // gRPC's clients send their credential in the metadata; the map is what HTTP bridges have.
  const [authorization] = call.metadata.get("authorization");
  if (typeof authorization === "string") headers["authorization"] = authorization;
  // The nearest is what the caller does now.
  Object.assign(headers, traceOf(call.metadata));
  if (body.length > 0) headers["content-type"] ??= "application/json";
  stateDeadline(call, headers);
  return { method, headers, body };
}

/** A call's deadline as the header that says the same. */
export function stateDeadline(call: Pick<ForwardCall, "getDeadline">, headers: Record<string, string>): void {
  const deadline = Number(call.getDeadline());
  if (Number.isFinite(deadline))
    headers[requestHeaders.timeoutMs] = String(shorter(deadline - Date.now(), headers[requestHeaders.timeoutMs]));
}

/** As written: whatever a router might make of escapes and dots must not lead elsewhere. */
function isPlainPath(path: string): boolean {
  const [plain = ""] = path.split("?");
  if (path.length > MAX_PATH_BYTES || /[^\x21-\x7e]/.test(path)) return false;
  return /^\/(?!\/)[\w\-./:%+@]*$/.test(plain) && !plain.includes("..");
}

function checked(name: string, value: string): string {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  } catch {
    throw new AssistantError(
      "invalid_request",
      `The header ${JSON.stringify(name.slice(0, 60))} has a name or a value that HTTP does not allow.`,
      {
        param: "headers",
      },
    );
  }
  return value;
}

function shorter(remainingMs: number, stated: string | undefined): number {
  const most = Math.min(MAX_TIMEOUT_MS, Math.max(0, Math.floor(remainingMs)));
  return stated !== undefined && /^\d{1,8}$/.test(stated) ? Math.min(most, Number(stated)) : most;
}
