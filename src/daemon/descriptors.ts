import { readFileSync } from "node:fs";

/** Connections of the gRPC address: another machine needs one, whatever it sends. */
export const MAX_GRPC_CONNECTIONS = 64;

/** Logs, libraries, sockets of engines that have been started, pipes of those that start, files that are read. */
const OWN_DESCRIPTORS = 128;
/** A request has the client's connection, and one to its engine. */
const PER_REQUEST = 2;
const MIN_CONNECTIONS = 16;

/**
 * HTTP connections that leave the daemon enough file descriptors for all else; null where the limit is not known. At
 * its limit a process can neither read a file nor start another one. Node.js has raised the soft limit to the hard one
 * when it started.
 */
export function maxConnections(limit: number | null = descriptorLimit()): number | null {
  if (limit === null) return null;
  const left = limit - OWN_DESCRIPTORS - MAX_GRPC_CONNECTIONS;
  return Math.max(MIN_CONNECTIONS, Math.floor(left / PER_REQUEST));
}

function descriptorLimit(): number | null {
  try {
    const soft = /^Max open files\s+(\d+)/mu.exec(readFileSync("/proc/self/limits", "utf8"))?.[1];
    return soft === undefined ? null : Number(soft);
  } catch {
    return null;
  }
}
