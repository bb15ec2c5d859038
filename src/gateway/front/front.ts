import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from "node:http";
import { presentable } from "../../core/errors.ts";
import { newRequestId } from "../../core/ids.ts";
import type { CallOrigin, InferenceCall } from "../../core/inference.ts";
import type { Mutable } from "../../core/mutable.ts";
import type { Span, Tracer } from "../../core/trace.ts";
import type { InferenceCore } from "../../inference/core.ts";
import type { GatewaySettings } from "../ports.ts";
import { type Authorizer, type Identity, isHidden, LOCAL } from "./authorize.ts";
import { readBody } from "./body.ts";
import { callHeaders } from "./call-headers.ts";
import { type ClientIds, clientIdOf } from "./client-ids.ts";
import { checkContentEncoding, decodeContent } from "./content-encoding.ts";
import { preflightHeaders } from "./cors.ts";
import { Disconnect } from "./disconnect.ts";
import type { DecodedBody, Door, InferenceRoute } from "./door.ts";
import { makeGuard } from "./guard.ts";
import { HttpSink } from "./http-sink.ts";
import { openAiLimits } from "./limit-headers.ts";
import type { ClientPace } from "./pace.ts";
import { noteRefusal, type RefusalPorts } from "./refusals.ts";
import { beginRequest, errorIdOf } from "./request-span.ts";
import { selectorOf } from "./selector.ts";
import { sendError } from "./send-error.ts";
import { type Methods, methodNotAllowed, type RouteTable, routeNotFound } from "./table.ts";
import { parseTarget, type RequestTarget } from "./target.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface FrontOptions extends RefusalPorts {
  readonly inference: InferenceCore;
  readonly table: RouteTable;
  /** The format of errors on paths that resemble no door's. */
  readonly fallback: Door;
  readonly authorizer: Authorizer;
  readonly settings: () => GatewaySettings;
  /** The listener only serves these models, whatever a request names; null: all. */
  readonly onlyModels: readonly string[] | null;
  /** A network listener has guards; the Unix socket has its file mode. */
  readonly guarded: boolean;
  readonly clientIds: ClientIds;
  readonly pace: ClientPace;
  /** Null: tracing is off. */
  readonly tracer: Tracer | null;
  /** Answers everything except inference. */
  readonly answerFromMemory: Handler;
}

/** One HTTP request that has passed the guards. */
interface Admitted {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly door: Door;
  readonly route: InferenceRoute;
  readonly target: RequestTarget;
  readonly identity: Identity;
  readonly origin: Omit<CallOrigin, "cancellation">;
  /** Headers of every response to it: name, value, name, value, … */
  readonly headers: readonly string[];
}

/**
 * The first to handle every request of a listener: request id, target, Host, origin, key. Inference goes from here
 * straight to the core, bypassing fastify, whose router and life cycle cost a sixth of the whole; everything else goes
 * to fastify.
 */
export function makeFront(options: FrontOptions): Handler {
  const { table, fallback, authorizer, settings, guarded, tracer, answerFromMemory } = options;
  const guard = makeGuard(settings);

  return (request, response) => {
    const arrivedAt = performance.now();
    const id = newRequestId();
    const clientId = clientIdOf(request.headers);
    const headers = ["x-request-id", clientId ?? id];
    let path = request.url ?? "/";
    let found: Door | null = null;
    let span: Span | null = null;
    try {
      const target = parseTarget(path);
      path = target.path;
      const methods = table.find(target);
      const { method = "" } = request;
      const entry = methods?.get(method);
      const [nearest] = entry === undefined ? (methods?.values() ?? []) : [entry];
      const door = nearest?.door ?? table.nearest(path) ?? fallback;
      found = door;
      span = beginRequest(tracer, { request, response, id, path, route: nearest?.path, arrivedAt });
      if (door.requestIdHeader !== undefined) headers.push(door.requestIdHeader, clientId ?? id);
      if (guarded) headers.push(...guard(request, target));
      if (method === "OPTIONS")
        return sendOptions(request, response, headers, allowed(methods ?? new Map([["GET", null]])));
      if (entry?.inference === null) {
        for (let index = 0; index < headers.length; index += 2)
          response.setHeader(headers[index] as string, headers[index + 1] as string);
        request.url = target.url;
        return answerFromMemory(request, response);
      }
      const scope = nearest?.scope ?? "inference";
      const identity = guarded ? authorizer.authorize(door.credential(request.headers), scope, request.socket) : LOCAL;
      if (methods === undefined || isHidden(scope, guarded, identity)) throw routeNotFound(path);
      if (entry === undefined) {
        headers.push("Allow", allowed(methods));
        throw methodNotAllowed(method, path, methods);
      }
      const { limitHeaders = openAiLimits } = door;
      const ended = authorizer.admit(identity, (states) => void headers.push(...limitHeaders(states)));
      const { inference: route } = entry;
      const origin = { id, clientId, caller: identity.caller, route: route.name, arrivedAt, span };
      const served = serve(options, { request, response, door, route, target, identity, origin, headers });
      if (ended !== null) void served.then(ended);
    } catch (thrown) {
      const error = presentable(thrown);
      const door = found ?? table.nearest(path) ?? fallback;
      noteRefusal(options, { id, clientId, method: request.method, path }, error);
      sendError(response, error, door.errorBody(error, errorIdOf(door, span, clientId ?? id)), headers);
    }
  };
}

/** Reads the body, and has the call served. Never rejects. */
async function serve(options: FrontOptions, admitted: Admitted): Promise<void> {
  const { inference, settings, onlyModels, clientIds, pace } = options;
  const { request, response, door, route, target, headers } = admitted;
  const cancellation = new Disconnect(request.socket);
  const origin = { ...admitted.origin, cancellation };
  const { id, clientId = null, span = null } = origin;
  const { tenant } = origin.caller;
  if (clientId !== null) clientIds.begin(tenant, clientId, id);
  const sinkFor = (streamed: boolean): HttpSink =>
    new HttpSink({ response, door, requestId: errorIdOf(door, span, clientId ?? id), headers, streamed, pace });
  try {
    route.checkHeaders(request.headers);
    checkContentEncoding(request.headers);
    const { bodyLimitBytes } = settings();
    const written = await readBody(request, bodyLimitBytes, cancellation, pace);
    const isEncoded = request.headers["content-encoding"] !== undefined;
    const bytes = isEncoded ? await decodeContent(written, request.headers, bodyLimitBytes) : written;
    const decoding = route.decode(bytes, request.headers, target, origin.caller);
    const decoded = decoding instanceof Promise ? await decoding : decoding;
    const { translate, answer } = decoded;
    const call = callOf(request.headers, origin, route, decoded, selectorOf(request.headers, decoded, onlyModels));
    const sink = sinkFor(decoded.streamed);
    if (answer === undefined) await inference.run(call, translate?.(sink) ?? sink);
    else await answer(call, sink, admitted.identity);
  } catch (error) {
    // The core never throws: the call could not be parsed, or its door does not support it.
    inference.refuse(origin, sinkFor(false), error);
  } finally {
    cancellation.done();
    if (clientId !== null) clientIds.end(tenant, clientId, id);
  }
}

/** Every field by name: object spread costs more than everything else here. */
function callOf(
  headers: IncomingHttpHeaders,
  { id, clientId, caller, route: name, arrivedAt, span, cancellation }: CallOrigin,
  route: InferenceRoute,
  decoded: DecodedBody,
  selector: InferenceCall["selector"],
): InferenceCall {
  const { body, checked, prompt, streamed, maxTokens, reservation } = decoded;
  const told = callHeaders(headers, streamed, decoded.priority ?? caller.priority);
  const call: Mutable<InferenceCall> = {
    id,
    clientId: clientId ?? null,
    caller,
    route: name,
    arrivedAt,
    span: span ?? null,
    cancellation,
    selector,
    operation: decoded.operation ?? route.operation,
    wire: decoded.wire ?? route.wire,
    body,
    prompt,
    streamed,
    maxTokens,
    priority: told.priority,
    deadlineAt: decoded.deadlineAt === undefined ? told.deadlineAt : decoded.deadlineAt,
    hops: decoded.hops ?? told.hops,
    cachePart: told.cachePart,
  };
  if (checked !== undefined) call.checked = checked;
  if (reservation !== undefined) call.reservation = reservation;
  return call;
}

const allowed = (methods: Methods | ReadonlyMap<string, null>): string => [...methods.keys(), "OPTIONS"].join(", ");

/** Answers a preflight, or other OPTIONS requests. */
function sendOptions(
  request: IncomingMessage,
  response: ServerResponse,
  headers: readonly string[],
  methods: string,
): void {
  const all = [...headers, "Allow", methods];
  if (request.headers.origin !== undefined) {
    const requested = request.headers["access-control-request-headers"];
    const privateNetwork = request.headers["access-control-request-private-network"] === "true";
    all.push(...preflightHeaders({ methods, headers: requested, privateNetwork }));
  }
  response.writeHead(204, all);
  response.end();
}
