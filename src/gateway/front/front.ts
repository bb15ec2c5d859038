import type { IncomingMessage, ServerResponse } from "node:http";
import { newRequestId } from "../../core/ids.ts";
import { type Call, serveInference } from "../openai/inference.ts";
import { inferenceRoutes, publicPaths } from "../openai/routes.ts";
import type { SignTimes } from "../openai/waiting-signs.ts";
import type { DoorContext } from "../ports.ts";
import { methodNotAllowed } from "./cold-app.ts";
import { corsHeaders, preflightHeaders } from "./cors.ts";
import { presentable, sendError } from "./error-body.ts";
import { HostCheck, isLoopback } from "./hosts.ts";
import { Doorkeeper, rememberKey, tenantOf } from "./keys.ts";
import { contextFor, requireScope } from "./rights.ts";

type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface FrontOptions {
  readonly context: DoorContext;
  /** A network listener has guards; the Unix socket has its file mode. */
  readonly guarded: boolean;
  readonly signTimes: SignTimes;
  /** Everything that is not inference. */
  readonly cold: Handler;
}

/**
 * The first to see every request of a listener: request id, Host, origin, key. Inference goes from here straight to
 * the relay, past fastify, whose router and life cycle cost a sixth of the whole; everything else goes to fastify.
 */
export function makeFront({ context, guarded, signTimes, cold }: FrontOptions): Handler {
  const doorkeeper = new Doorkeeper();
  const hosts = new HostCheck();
  return (request, response) => {
    const arrivedAt = performance.now();
    const id = requestId(request);
    const headers = ["x-request-id", id];
    const path = pathOf(request.url ?? "/");
    try {
      const settings = context.settings();
      if (guarded) {
        if (isLoopback(request.socket.localAddress)) hosts.check(request.headers.host, settings.allowedHosts);
        headers.push(...corsHeaders(request.headers.origin, request.headers.host, settings.corsOrigins));
      }
      const route = inferenceRoutes.get(path);
      if (request.method === "OPTIONS") return sendOptions(request, response, headers, route === undefined ? "GET, HEAD, OPTIONS" : "POST, OPTIONS");
      const key = guarded && !publicPaths.has(path) ? doorkeeper.keyOf(request.socket, request.headers.authorization, settings.apiKeys) : null;
      if (route === undefined) {
        for (let index = 0; index < headers.length; index += 2) response.setHeader(headers[index] as string, headers[index + 1] as string);
        rememberKey(request, key);
        return cold(request, response);
      }
      if (request.method !== "POST") throw methodNotAllowed(request.method ?? "", path, response, ["POST", "OPTIONS"]);
      requireScope(key, "inference");
      const ended = context.keyLimits.admit(key);
      const call: Call = { request, response, id, tenant: tenantOf(key), settings, headers, arrivedAt };
      const served = serveInference(contextFor(key, context), route, call, signTimes);
      if (ended !== null) void served.then(ended);
    } catch (thrown) {
      const error = presentable(thrown);
      context.refused(error.code);
      context.log.info({ id, method: request.method, path: path.slice(0, 200), status: error.status, code: error.code, error: error.message }, "refused");
      sendError(response, error, id, headers);
    }
  };
}

const pathOf = (url: string): string => {
  const query = url.indexOf("?");
  const path = query < 0 ? url : url.slice(0, query);
  return path.length > 1 && path.endsWith("/") ? path.slice(0, -1) : path;
};

/** The client's own id where it is one that may stand in a log line, else a new one. */
function requestId(request: IncomingMessage): string {
  const given = request.headers["x-request-id"];
  return typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : newRequestId();
}

/** Answers a preflight, or OPTIONS asked out of curiosity. */
function sendOptions(request: IncomingMessage, response: ServerResponse, headers: readonly string[], methods: string): void {
  const all = [...headers, "Allow", methods];
  if (request.headers.origin !== undefined) {
    const requested = request.headers["access-control-request-headers"];
    const privateNetwork = request.headers["access-control-request-private-network"] === "true";
    all.push(...preflightHeaders({ methods, headers: requested, privateNetwork }));
  }
  response.writeHead(204, all);
  response.end();
}
