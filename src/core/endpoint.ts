/**
 * The HTTP endpoint of an engine or a worker: the absolute path of a Unix socket, or `HOST:PORT`; for engines the host
 * is 127.0.0.1.
 */
export type Endpoint = string;

const LOOPBACK = "127.0.0.1";

export const loopbackEndpoint = (port: number): Endpoint => `${LOOPBACK}:${port}`;

const isSocketPath = (endpoint: Endpoint): boolean => endpoint.startsWith("/");

const portOf = (endpoint: Endpoint): number => Number(endpoint.slice(endpoint.lastIndexOf(":") + 1));

/** IPv6 addresses have brackets there. */
const hostOf = (endpoint: Endpoint): string => endpoint.slice(0, endpoint.lastIndexOf(":")).replace(/^\[(.*)\]$/, "$1");

/** For `net.connect`. */
export const connectOptions = (endpoint: Endpoint): { path: string } | { host: string; port: number; noDelay: true } =>
  isSocketPath(endpoint) ? { path: endpoint } : { host: hostOf(endpoint), port: portOf(endpoint), noDelay: true };

/** For `http.request`. */
export const requestOptions = (endpoint: Endpoint): { socketPath: string } | { host: string; port: number } =>
  isSocketPath(endpoint) ? { socketPath: endpoint } : { host: hostOf(endpoint), port: portOf(endpoint) };
