import { Agent, type ClientRequest, request as httpRequest, type IncomingMessage, validateHeaderName, validateHeaderValue } from "node:http";
import type { Metadata } from "@grpc/grpc-js";
import type { ForwardRequest } from "../../api/assistant-service.ts";
import { AssistantError } from "../../core/errors.ts";
import { inferenceRoutes } from "../openai/routes.ts";

/** About the connection, or about a browser; the rest of a request's headers goes on. */
const DROPPED = new Set([
  "connection",
  "content-length",
  "expect",
  "host",
  "keep-alive",
  "origin",
  "proxy-authorization",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

const memoryRoutes = ["/v1/models", "/v1/info", "/v1/health", "/models", "/info", "/health"];

/** Paths that a call may name, for GetInfo. */
export const endpoints: readonly string[] = [...inferenceRoutes.keys(), ...memoryRoutes].filter((path) => path.startsWith("/v1/"));

/** What a call is sent on as. Throws `route_not_found` or `invalid_request`. */
export interface Outgoing {
  readonly path: string;
  readonly method: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** `remainingMs`: until the call's deadline; null where it has none. */
export function outgoing(call: ForwardRequest, metadata: Metadata, remainingMs: number | null): Outgoing {
  const { path, body } = call;
  if (!isOpenAiPath(path)) {
    throw new AssistantError(
      "route_not_found",
      `ForwardRequest takes paths of the OpenAI-compatible API, such as /v1/chat/completions; found ${JSON.stringify(path.slice(0, 100))}.`,
    );
  }
  const method = call.method === "" ? (body.length > 0 ? "POST" : "GET") : call.method.toUpperCase();
  if (!/^[A-Z]{1,16}$/.test(method))
    throw new AssistantError("invalid_request", `${JSON.stringify(call.method.slice(0, 40))} is not an HTTP method.`, { param: "method" });
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(call.headers)) if (!DROPPED.has(name.toLowerCase())) headers[name.toLowerCase()] = checked(name, value);
  // Who calls is told by the metadata, as gRPC's clients do it; the map is what HTTP bridges have.
  const [authorization] = metadata.get("authorization");
  if (typeof authorization === "string") headers["authorization"] = authorization;
  if (body.length > 0) headers["content-type"] ??= "application/json";
  headers["content-length"] = String(body.length);
  if (remainingMs !== null) headers["x-assistant-timeout-ms"] = String(shorter(remainingMs, headers["x-assistant-timeout-ms"]));
  return { path, method, headers, body };
}

function isOpenAiPath(path: string): boolean {
  // As written: whatever a router might make of escapes and dots must not lead elsewhere.
  const [plain = ""] = path.split("?");
  if (!/^\/[\w\-./:%+@]*$/.test(plain) || plain.includes("..") || path.length > 2_000 || /[^\x21-\x7e]/.test(path)) return false;
  return plain.startsWith("/v1/") || inferenceRoutes.has(plain) || memoryRoutes.some((route) => plain === route || plain.startsWith(`${route}/`));
}

function checked(name: string, value: string): string {
  try {
    validateHeaderName(name);
    validateHeaderValue(name, value);
  } catch {
    throw new AssistantError("invalid_request", `The header ${JSON.stringify(name.slice(0, 60))} has a name or a value that HTTP does not allow.`, {
      param: "headers",
    });
  }
  return value;
}

function shorter(remainingMs: number, stated: string | undefined): number {
  const most = Math.min(86_400_000, Math.max(0, Math.floor(remainingMs)));
  return stated !== undefined && /^\d{1,8}$/.test(stated) ? Math.min(most, Number(stated)) : most;
}

/** Sends calls to a socket where the gateway answers as it does on a network address. */
export class InnerDoor {
  readonly #socketPath: string;
  readonly #agent = new Agent({ keepAlive: true, maxFreeSockets: 8, timeout: 0 });

  constructor(socketPath: string) {
    this.#socketPath = socketPath;
  }

  /** `answered` and `failed`: one of them is called, once; destroying the returned request ends the work. */
  send({ path, method, headers, body }: Outgoing, answered: (answer: IncomingMessage) => void, failed: (error: Error) => void): ClientRequest {
    const request = httpRequest({ socketPath: this.#socketPath, agent: this.#agent, path, method, headers });
    request.once("response", answered);
    request.on("error", failed);
    request.end(body);
    return request;
  }

  close(): void {
    this.#agent.destroy();
  }
}
