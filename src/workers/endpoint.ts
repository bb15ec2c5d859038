import { BlockList, isIP } from "node:net";
import { isLoopback } from "../config/network.ts";
import { AssistantError } from "../core/errors.ts";

export interface EndpointPolicy {
  /** The registration came from this machine. */
  readonly isLocal: boolean;
  /** Hosts, `.example.com` for all below a domain, networks such as 10.0.0.0/8, or `*` for all. */
  readonly allowedHosts: readonly string[];
}

/**
 * Throws where the daemon must not be made to send requests there: `invalid_request` for what is no `http:` URL,
 * `endpoint_not_allowed` for hosts that the settings do not name. Programs of this machine may register loopback
 * addresses.
 */
export function checkEndpoint(endpoint: string, policy: EndpointPolicy): void {
  const url = /^http:\/\/\S+$/i.test(endpoint) && endpoint.length <= MAX_LENGTH ? URL.parse(endpoint) : null;
  if (url === null || url.username !== "" || url.password !== "" || url.hash !== "")
    throw new AssistantError(
      "invalid_request",
      `"endpoint" must be a URL such as http://127.0.0.1:9001/v1/completion, without user, password and fragment; found ${JSON.stringify(endpoint.slice(0, 100))}.`,
      { param: "endpoint" },
    );
  requireAllowedHost(url.hostname, policy);
}

/** `hostname`: IPv6 addresses may be in brackets. Throws `endpoint_not_allowed`. */
export function requireAllowedHost(hostname: string, { isLocal, allowedHosts }: EndpointPolicy): void {
  const host = hostname.replace(/^\[(.*)\]$/, "$1").toLowerCase();
  if ((isLocal && isLoopback(host)) || allowedHosts.some((allowed) => covers(allowed.toLowerCase(), host))) return;
  throw new AssistantError("endpoint_not_allowed", `Workers on the host "${host}" are not allowed.`, {
    param: "endpoint",
    remedy: `Add "${host}" to \`[workers] allowed_hosts\`, or register an address of this machine from this machine.`,
  });
}

const MAX_LENGTH = 1000;

function covers(allowed: string, host: string): boolean {
  if (allowed === "*" || allowed === host) return true;
  if (allowed.startsWith(".")) return host.endsWith(allowed);
  const [network = "", prefix = ""] = allowed.split("/");
  const family = isIP(network);
  if (prefix === "" || family === 0 || isIP(host) !== family) return false;
  const list = new BlockList();
  const type = family === 6 ? "ipv6" : "ipv4";
  list.addSubnet(network, Number(prefix), type);
  return list.check(host, type);
}
