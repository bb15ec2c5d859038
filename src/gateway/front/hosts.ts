import { isIP } from "node:net";
import { AssistantError } from "../../core/errors.ts";

/** This machine's names in containers. The top-level domain is reserved, so that no web page can have such a name. */
const IN_CONTAINERS: ReadonlySet<string> = new Set(["host.docker.internal", "host.containers.internal"]);

/**
 * Checks the Host header of a request over loopback. A web page can point its own host name at 127.0.0.1 and then read
 * answers as if they were its own (DNS rebinding); it cannot do that with an IP address or with `localhost`. Throws
 * `host_not_allowed`.
 */
export function checkHost(header: string | undefined, allowed: readonly string[]): void {
  // HTTP/1.0 clients may omit it; browsers never do.
  if (header === undefined) return;
  const host = hostName(header);
  if (host === null) throw refused(header, "Send the address that the request goes to, such as 127.0.0.1:8080.");
  if (host === "localhost" || host.endsWith(".localhost") || isIP(host) !== 0 || IN_CONTAINERS.has(host)) return;
  if (
    allowed.some(
      (name) =>
        name === "*" || name.toLowerCase() === host || (name.startsWith(".") && host.endsWith(name.toLowerCase())),
    )
  )
    return;
  throw refused(header, `Use http://127.0.0.1, or add "${host.slice(0, 100)}" to \`[server] allowed_hosts\`.`);
}

const refused = (header: string, remedy: string): AssistantError =>
  new AssistantError(
    "host_not_allowed",
    `The Host header names ${JSON.stringify(header.slice(0, 100))}, which is not a known name of this machine.`,
    { remedy },
  );

/** Throws `host_not_allowed` for several Host headers: servers disagree about which one counts. */
export function requireOneHost(rawHeaders: readonly string[]): void {
  let count = 0;
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index] as string;
    if (name.length === 4 && name.toLowerCase() === "host") count++;
  }
  if (count > 1)
    throw new AssistantError("host_not_allowed", `The request has ${count} Host headers; expected exactly one.`);
}

/** `checkHost` for one listener, whose clients all use the same one or two names. */
export class HostCheck {
  #header: string | undefined;
  #allowed: readonly string[] | null = null;

  check(header: string | undefined, allowed: readonly string[]): void {
    if (header === this.#header && allowed === this.#allowed) return;
    checkHost(header, allowed);
    this.#header = header;
    this.#allowed = allowed;
  }
}

/**
 * The name without port and brackets, in lower case; null if it is not `uri-host [":" port]` of RFC 9110. Only names
 * that DNS and hosts files support: no machine has a name with escapes and delimiters, which RFC 3986 would allow.
 */
function hostName(header: string): string | null {
  const [, bracketed, name] = /^(?:\[([0-9a-fA-F:.]+)\]|([\w.-]+))(?::\d{0,5})?$/.exec(header) ?? [];
  return (bracketed ?? name)?.toLowerCase() ?? null;
}

const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;

/** Whether a socket's address is this machine's own loopback. */
export const isLoopback = (address: string | undefined): boolean => address !== undefined && LOOPBACK.test(address);
