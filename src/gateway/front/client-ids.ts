import type { IncomingHttpHeaders } from "node:http";
import { requestHeaders } from "../../api/headers.ts";

/** The client's own id for its request, if it is suitable for a log line; otherwise null. */
export function clientIdOf(headers: IncomingHttpHeaders): string | null {
  const given = headers[requestHeaders.id];
  return typeof given === "string" && /^[\w.:-]{1,128}$/.test(given) ? given : null;
}

/**
 * Maps clients' own ids to running requests. Clients choose them freely: two concurrent requests may have the same id,
 * even of one tenant; then the later one counts.
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

  /** Our id of the request; an unknown client id is assumed to be one of ours. */
  find(tenant: string, clientId: string): string {
    return this.#running.get(keyOf(tenant, clientId)) ?? clientId;
  }
}

const keyOf = (tenant: string, clientId: string): string => `${tenant} ${clientId}`;
