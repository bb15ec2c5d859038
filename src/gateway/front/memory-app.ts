import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import Fastify, { type FastifyError, type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import type { AuditEntry } from "../../api/audit.ts";
import type { KeyScope } from "../../core/config.ts";
import { AssistantError, presentable } from "../../core/errors.ts";
import { newRequestId } from "../../core/ids.ts";
import { auditRoutes } from "./audit.ts";
import { type Authorizer, type Identity, isHidden, LOCAL, needsAdminKey } from "./authorize.ts";
import { clientIdOf } from "./client-ids.ts";
import { compressed } from "./compress.ts";
import { checkContentEncoding } from "./content-encoding.ts";
import { isLocalOrigin } from "./cors.ts";
import { describeMemoryRoute, type RouteDescription } from "./describe.ts";
import type { Door } from "./door.ts";
import { bearerDoor } from "./error-body.ts";
import { isLoopback } from "./hosts.ts";
import { readJson } from "./json-body.ts";
import { noteRefusal, type RefusalPorts } from "./refusals.ts";
import { errorIdOf, spanOfRequest } from "./request-span.ts";
import { compileSchemasLate } from "./route-schemas.ts";
import { sendError } from "./send-error.ts";
import { type RouteTable, routeNotFound } from "./table.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** The scope required for the route; null: not even a key. Default: the door's. */
    readonly scope?: KeyScope | null;
    /** Whether callers without permission may learn that it exists. Default: no. */
    readonly announced?: boolean;
    /**
     * Whether programs of this machine need no key for it while none are configured, as on the Unix socket. Default:
     * no.
     */
    readonly openOnLoopback?: boolean;
    /** For `/openapi.json`, in addition to the schemas that fastify uses for validation. */
    readonly describe?: RouteDescription;
  }
  interface FastifyRequest {
    identity: Identity;
  }
}

export interface MemoryAppOptions extends RefusalPorts {
  readonly doors: readonly Door[];
  readonly table: RouteTable;
  readonly authorizer: Authorizer;
  readonly bodyLimitBytes: number;
  /** Called for each request that may have changed something. */
  audit(entry: AuditEntry): void;
  /** Arrived over the Unix socket, whose file mode protects it. */
  isLocal(request: IncomingMessage): boolean;
}

/**
 * The doors' routes that answer from memory: a fastify instance that never listens itself, used through `routing` and
 * `inject`. Each of its routes is also in the table.
 */
export async function memoryApp(options: MemoryAppOptions): Promise<FastifyInstance> {
  const { doors, table, log, bodyLimitBytes } = options;
  const app = Fastify({
    logger: false,
    bodyLimit: bodyLimitBytes,
    // Longer than a request head may be: what a route looks up by it does not exist, which the route's door reports.
    routerOptions: { ignoreTrailingSlash: true, maxParamLength: 2 ** 16 },
  });
  compileSchemasLate(app);
  for (const { name, marker } of doors) if (marker !== undefined) app.addConstraintStrategy(sharing(name, marker));
  app.decorateRequest("identity");
  app.addContentTypeParser(
    "application/json",
    { parseAs: "buffer" },
    async (request: FastifyRequest, bytes: Buffer) => {
      const json = await readJson(request, bytes);
      if (json !== undefined) return json;
      throw new AssistantError("empty_body", "The request has no body; expected a JSON object.");
    },
  );
  app.addHook("onRequest", async (request, reply) => {
    if (!reply.raw.hasHeader("x-request-id"))
      reply.raw.setHeader("x-request-id", clientIdOf(request.headers) ?? newRequestId());
    try {
      request.identity = identify(options, request);
      checkContentEncoding(request.headers);
    } catch (error) {
      noteRefusal(options, { id: idOf(reply), method: request.method, path: pathOf(request) }, presentable(error));
      throw error;
    }
  });
  app.addHook("onSend", compressed);
  auditRoutes(app, { audit: options.audit, isLocal: ({ raw }) => options.isLocal(raw) });
  const answerErrors = (scoped: FastifyInstance, door: Pick<Door, "errorBody" | "namesTrace">): void => {
    scoped.setErrorHandler((error: FastifyError, request, reply) => {
      const id = idOf(reply);
      if (hasLeft(request.raw, error)) {
        log.info({ id, path: pathOf(request) }, "the client disconnected while sending its request");
        reply.hijack();
        return;
      }
      const shown = presentable(translate(error));
      if (shown.code === "internal")
        log.error({ id, err: error, path: pathOf(request) }, "a request failed inside the daemon");
      reply.hijack();
      sendError(reply.raw, shown, door.errorBody(shown, errorIdOf(door, spanOfRequest(request.raw), id)), []);
    });
  };
  for (const door of doors) {
    await app.register(async (scoped) => {
      scoped.addHook("onRoute", (route) => {
        const scope = route.config?.scope === undefined ? door.scope : route.config.scope;
        route.config = { ...route.config, scope };
        // Another door's route on the same path is in the table.
        if (route.constraints?.[door.name] !== undefined) return;
        const own = describeMemoryRoute(route);
        for (const method of [route.method].flat()) {
          const describe = own ?? door.describe?.[`${method} ${route.url}`] ?? null;
          table.add(method, route.url, { door, scope, inference: null, describe });
        }
      });
      answerErrors(scoped, door);
      door.register?.(scoped);
    });
  }
  // The table only passes routes that exist here; this answers if router and table should ever differ.
  answerErrors(app, bearerDoor);
  app.setNotFoundHandler((request) => {
    throw routeNotFound(pathOf(request));
  });
  await app.ready();
  return app;
}

type ConstraintStrategy = Parameters<FastifyInstance["addConstraintStrategy"]>[0];

/** Lets a door answer the requests with its header on a path of another door. */
const sharing = (name: string, marker: string): ConstraintStrategy => ({
  name,
  storage() {
    const handlers = new Map<unknown, ReturnType<ReturnType<ConstraintStrategy["storage"]>["get"]>>();
    return { get: (value) => handlers.get(value) ?? null, set: (value, handler) => void handlers.set(value, handler) };
  },
  validate: () => {},
  deriveConstraint: ({ headers }) => (headers[marker] === undefined ? undefined : name),
  mustMatchWhenDerived: false,
});

/** Whether the failure is a body that ended early. */
const hasLeft = ({ complete, errored }: IncomingMessage, error: unknown): boolean =>
  !complete && errored !== null && (errored === error || (error as Error).cause === errored);

const idOf = ({ raw }: FastifyReply): string => String(raw.getHeader("x-request-id") ?? "");
const pathOf = ({ url }: FastifyRequest): string => url.split("?")[0] ?? "";

/**
 * The authorized caller, checked by the route that was found, not by the path as written, in which a router decodes
 * escapes that a comparison would miss.
 */
function identify({ doors, authorizer, isLocal }: MemoryAppOptions, request: FastifyRequest): Identity {
  const { scope = "inference", announced = false, openOnLoopback = false } = request.routeOptions.config ?? {};
  const needsKey = scope !== null && !isLocal(request.raw);
  const identity = needsKey
    ? authorizer.authorize(credentialOf(doors, request.headers), scope, request.raw.socket)
    : LOCAL;
  if (scope !== null && isHidden(scope, needsKey && !(openOnLoopback && isFromHere(request.raw)), identity))
    throw announced ? needsAdminKey() : routeNotFound(pathOf(request));
  return identity;
}

/**
 * Requests forwarded by a proxy on this machine also arrive over loopback; its header identifies them. Web pages may at
 * most call models.
 */
export const isFromHere = ({ socket, headers }: IncomingMessage): boolean =>
  isLoopback(socket.localAddress) &&
  isLoopback(socket.remoteAddress) &&
  isLocalOrigin(headers.origin) &&
  !["forwarded", "x-forwarded-for", "x-real-ip"].some((name) => headers[name] !== undefined);

/** The first one that a door recognizes: authorization does not depend on the route's door. */
const credentialOf = (doors: readonly Door[], headers: IncomingHttpHeaders): string | null => {
  for (const door of doors) {
    const credential = door.credential(headers);
    if (credential !== null) return credential;
  }
  return null;
};

/** Fastify's own refusals in our format. */
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
    default:
      return statusCode !== undefined && statusCode >= 400 && statusCode < 500 && code?.startsWith("FST_")
        ? new AssistantError("invalid_request", error.message)
        : error;
  }
}
