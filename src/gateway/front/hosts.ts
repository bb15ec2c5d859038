import { isIP } from "node:net";
import { AssistantError } from "../../core/errors.ts";

/**
 * Checks the Host header of a request that came in over loopback. A web page can point a name of its own at 127.0.0.1
 * and then read answers as if they were its own (DNS rebinding); it cannot do that with an address or with `localhost`.
 * Throws `host_not_allowed`.
 */
export function checkHost(header: string | undefined, allowed: readonly string[]): void {
  // HTTP/1.0 clients may leave it out; browsers never do.
  if (header === undefined) return;
  const host = hostName(header);
  if (host === "localhost" || host.endsWith(".localhost") || isIP(host) !== 0) return;
  if (allowed.some((name) => name === "*" || name.toLowerCase() === host || (name.startsWith(".") && host.endsWith(name.toLowerCase())))) return;
  throw new AssistantError("host_not_allowed", `The Host header names "${header.slice(0, 100)}", which is not this machine as far as the daemon knows.`, {
    remedy: `Use http://127.0.0.1, or add "${host.slice(0, 100)}" to \`[server] allowed_hosts\`.`,
  });
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

/** The name without port and brackets, in lower case. */
function hostName(header: string): string {
  const bracketed = /^\[([^\]]*)\](?::\d+)?$/.exec(header)?.[1];
  return (bracketed ?? header.replace(/:\d+$/, "")).toLowerCase();
}

const LOOPBACK = /^(?:127\.|::1$|::ffff:127\.)/;

/** Whether an address of a socket is this machine's own loopback. */
export const isLoopback = (address: string | undefined): boolean => address !== undefined && LOOPBACK.test(address);
