import type { IncomingHttpHeaders } from "node:http";
import { requestHeaders } from "../../api/headers.ts";

/** The client's own id for its request, where it is one that may stand in a log line; else null. */
export function clientIdOf(headers: IncomingHttpHeaders): string | null {
  const given = headers[requestHeaders.id];
  return typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : null;
}

/**
 * Which running request a client means by its own id. Clients choose as they like: two requests at once may have the
 * same, those of one tenant too, of which the later one counts.
 */
export class ClientIds {
  readonly #running = new Map<string, string>();

  begin(tenant: string, clientId: string, id: string): void {
    this.#running.set(keyOf(tenant, clientId), id);
  }

  end(tenant: string, clientId: string, id: string): void {
    const key = keyOf(tenant, clientId);
    if (this.#running.get(key) === id) this.#running.delete(key);
  }

  /** The id that we gave the request; what is none of the client's is taken for one of ours. */
  find(tenant: string, clientId: string): string {
    return this.#running.get(keyOf(tenant, clientId)) ?? clientId;
  }
}

const keyOf = (tenant: string, clientId: string): string => `${tenant} ${clientId}`;
