import { chmod, rm } from "node:fs/promises";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { ListenAddress } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";

export interface UnixAddress {
  readonly path: string;
}

// Connections that were told to stay open before the end was decided become idle one by one.
const IDLE_SWEEP_MS = 50;

/** Binds the server; `key` has the address. Throws `address_in_use`, `config_invalid` or `not_writable`. */
export async function openServer(server: Server, address: ListenAddress | UnixAddress, key: string): Promise<string> {
  if ("path" in address) {
    // The caller holds the daemon's lock: a socket that lies there belongs to nobody.
    await rm(address.path, { force: true });
    await bind(server, { path: address.path }, address.path, key);
    await chmod(address.path, 0o600);
    return address.path;
  }
  await bind(server, { host: address.host, port: address.port }, `${address.host}:${address.port}`, key);
  const { port } = server.address() as AddressInfo;
  // 0.0.0.0 is where to listen, not where to go.
  const host = address.host === "0.0.0.0" || address.host === "::" ? "127.0.0.1" : address.host;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function bind(
  server: Server,
  target: { path: string } | { host: string; port: number },
  shown: string,
  key: string,
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(bindError(error, shown, key)));
    server.listen(target, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

function bindError(error: NodeJS.ErrnoException, shown: string, key: string): AssistantError {
  switch (error.code) {
    case "EADDRINUSE":
      return new AssistantError("address_in_use", `Another program listens on ${shown}.`, {
        remedy: `Stop it, or choose another address with ${key}.`,
        cause: error,
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new AssistantError("config_invalid", `${shown} is not an address of this machine.`, {
        remedy: `Correct ${key}.`,
        cause: error,
      });
    default:
      return new AssistantError("not_writable", `Cannot listen on ${shown}: ${error.message}`, { cause: error });
  }
}

/**
 * Takes no new connections and resolves when the last one has ended; with `now`, ends them. Callable again to hurry.
 */
export function closeServer(server: Server, now: boolean): Promise<void> {
  if (now) server.closeAllConnections();
  const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
  const closed = new Promise<void>((resolve) => {
    // A server that was told before keeps its answer to the first caller; the later ones see its connections end.
    if (server.listening) server.close(() => resolve());
    else server.getConnections((_, count) => (count === 0 ? resolve() : server.once("close", resolve)));
  });
  return closed.finally(() => clearInterval(sweep));
}
