import Fastify, { type FastifyError, type FastifyInstance } from "fastify";
import { AssistantError } from "../../core/errors.ts";
import type { Log } from "../ports.ts";
import { presentable, sendError } from "./error-body.ts";

const METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] as const;

/**
 * A fastify instance that is reached through `routing`, behind the guards, and never listens itself. Its errors have
 * the shape of all others; `x-request-id` is on the response already.
 */
export function coldApp(log: Log, bodyLimitBytes: number): FastifyInstance {
  const app = Fastify({ logger: false, bodyLimit: bodyLimitBytes, routerOptions: { ignoreTrailingSlash: true, maxParamLength: 500 } });
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const shown = presentable(translate(error));
    const id = String(reply.raw.getHeader("x-request-id") ?? "");
    if (shown.code === "internal") log.error({ id, err: error, path: request.url.split("?")[0] }, "a request failed inside the daemon");
    reply.hijack();
    sendError(reply.raw, shown, id, []);
  });
  // Before the body is looked at: what it holds does not matter where there is nothing to send it to.
  app.addHook("onRequest", async (request, reply) => {
    if (!request.is404) return;
    const path = request.url.split("?")[0] ?? "";
    const allowed = METHODS.filter((method) => matches(app, method, path));
    if (allowed.length > 0) throw methodNotAllowed(request.method, path, reply.raw, allowed);
    throw new AssistantError("route_not_found", `There is no ${path.slice(0, 200)}.`, { remedy: "docs/api.md lists what there is." });
  });
  return app;
}

/** `findRoute` wants the pattern; the routes here are few enough to try them. */
function matches(app: FastifyInstance, method: (typeof METHODS)[number], path: string): boolean {
  const wildcard = /^((?:\/v1)?\/models)\/.+$/.exec(path)?.[1];
  const named = /^(\/admin\/(?:instances|models))\/[^/]+$/.exec(path)?.[1];
  const asked = /^((?:\/v1)?\/requests)\/[^/]+$/.exec(path)?.[1];
  const patterns = [
    path,
    ...(asked === undefined ? [] : [`${asked}/:id`]),
    ...(wildcard === undefined ? [] : [`${wildcard}/*`]),
    ...(named === undefined ? [] : [`${named}/:name`]),
  ];
  return patterns.some((url) => app.hasRoute({ method, url }));
}

/** `method_not_allowed`, with the Allow header set. */
export function methodNotAllowed(
  method: string,
  path: string,
  response: { setHeader(name: string, value: string): unknown },
  allowed: readonly string[],
): AssistantError {
  response.setHeader("Allow", allowed.join(", "));
  return new AssistantError("method_not_allowed", `${path.slice(0, 200)} does not take ${method}; it takes ${allowed.join(" and ")}.`);
}

/** Fastify's own refusals in our words. */
function translate(error: FastifyError | Error): unknown {
  const { code, validation, statusCode } = error as FastifyError;
  if (validation?.[0] !== undefined) {
    const at = validation[0].instancePath.replace(/^\//, "").replaceAll("/", ".");
    return new AssistantError("invalid_request", `${error.message}.`, at === "" ? {} : { param: at });
  }
  switch (code) {
    case "FST_ERR_CTP_INVALID_MEDIA_TYPE":
      return new AssistantError("unsupported_media_type", "The content type must be application/json.");
    case "FST_ERR_CTP_BODY_TOO_LARGE":
      return new AssistantError("body_too_large", "The request's body is larger than allowed.");
    case "FST_ERR_CTP_EMPTY_JSON_BODY":
      return new AssistantError("empty_body", "The request has no body; expected a JSON object.");
    case "FST_ERR_CTP_INVALID_JSON_BODY":
      return new AssistantError("invalid_json", "The body is not JSON.");
    default:
      return statusCode !== undefined && statusCode >= 400 && statusCode < 500 && code?.startsWith("FST_")
        ? new AssistantError("invalid_request", error.message)
        : error;
  }
}
