import type { IncomingMessage } from "node:http";
import type { GatewaySettings } from "../ports.ts";
import { corsHeaders } from "./cors.ts";
import { checkHost, HostCheck, isLoopback, requireOneHost } from "./hosts.ts";
import type { RequestTarget } from "./target.ts";

/**
 * Checks Host and origin of all requests of a network listener. The returned function gives the headers (name, value,
 * …) that let a page read the answer, and throws `host_not_allowed` or `origin_not_allowed`.
 */
export function makeGuard(
  settings: () => Pick<GatewaySettings, "allowedHosts" | "corsOrigins">,
): (request: IncomingMessage, target: Pick<RequestTarget, "authority">) => string[] {
  const hosts = new HostCheck();
  return (request, { authority }) => {
    const { allowedHosts, corsOrigins } = settings();
    if (isLoopback(request.socket.localAddress)) {
      hosts.check(request.headers.host, allowedHosts);
      if (authority !== null) checkHost(authority, allowedHosts);
    }
    requireOneHost(request.rawHeaders);
    return corsHeaders(request.headers.origin, request.headers.host, corsOrigins);
  };
}
