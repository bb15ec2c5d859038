import type { FastifyInstance, FastifyRequest } from "fastify";
import type { AuditEntry } from "../../api/audit.ts";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Its name in the audit trail. Default: method and route. */
    readonly audit?: string;
  }
}

export interface AuditOptions {
  readonly audit: (entry: AuditEntry) => void;
  readonly isLocal: (request: FastifyRequest) => boolean;
}

/** Reading changes nothing. */
const READING: ReadonlySet<string> = new Set(["GET", "HEAD", "OPTIONS"]);
/**
 * Fields of path, query and body that identify the object of a request. None of them can contain a secret or a prompt.
 */
const NAMING = ["name", "id", "*", "model_name", "preset_name", "model", "reference", "destination", "endpoint"];
const MAX_TARGET_LENGTH = 200;

/**
 * Reports every authorized request to a route with the scope `admin` or `worker` that may have changed something, after
 * its response.
 */
export function auditRoutes(app: FastifyInstance, { audit, isLocal }: AuditOptions): void {
  app.addHook("onResponse", async (request, reply) => {
    const { config, url: route = "" } = request.routeOptions;
    if (
      (config.scope !== "admin" && config.scope !== "worker") ||
      READING.has(request.method) ||
      request.identity === undefined
    )
      return;
    audit({
      at: Date.now(),
      actor: request.identity.caller.tenant,
      via: isLocal(request) ? "socket" : "http",
      action: config.audit ?? `${request.method} ${route}`,
      target: targetOf(request),
      status: reply.raw.statusCode,
      requestId: String(reply.raw.getHeader("x-request-id") ?? "") || null,
    });
  });
}

function targetOf({ params, query, body }: FastifyRequest): string | null {
  const fields = [params, query, body].map((part) => (typeof part === "object" && part !== null ? part : {}));
  for (const name of NAMING)
    for (const part of fields) {
      const value: unknown = (part as Readonly<Record<string, unknown>>)[name];
      if (typeof value !== "string") continue;
      const action: unknown = (fields[2] as Readonly<Record<string, unknown>>)["action"];
      const verb = typeof action === "string" ? `${action.slice(0, 20)} ` : "";
      return `${verb}${withoutSecrets(value)}`.slice(0, MAX_TARGET_LENGTH);
    }
  return null;
}

/** Credentials and signatures that a URL may contain. */
const withoutSecrets = (text: string): string => text.replace(/\/\/[^/@]*@/, "//").replace(/[?#].*$/s, "");
