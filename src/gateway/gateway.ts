import { chmod, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import type { FastifyInstance } from "fastify";
import type { ListenAddress } from "../core/config.ts";
import { AssistantError, type ErrorCode } from "../core/errors.ts";
import type { Dispatcher, RequestProgress } from "../core/request.ts";
import { registerAdminRoutes } from "./admin/routes.ts";
import { coldApp } from "./front/cold-app.ts";
import { watchDepartures } from "./front/departure.ts";
import { makeFront } from "./front/front.ts";
import { KeyLimits } from "./front/key-limits.ts";
import { rememberedKey } from "./front/keys.ts";
import { requireScope } from "./front/rights.ts";
import { registerMonitorRoutes } from "./monitor/routes.ts";
import { fingerprintByLength } from "./openai/parse.ts";
import { registerOpenAiRoutes } from "./openai/routes.ts";
import { type SignTimes, usualSignTimes } from "./openai/waiting-signs.ts";
import type { ControlPort, DoorContext, Fingerprint, GatewaySettings, Log, ModelDirectory, RequestLog } from "./ports.ts";

export interface GatewayOptions {
  readonly dispatcher: Dispatcher;
  readonly directory: ModelDirectory;
  readonly control: ControlPort;
  /** Read anew on every request. */
  readonly settings: () => GatewaySettings;
  readonly version: string;
  /** This daemon's id in the hop lists of forwarded requests. Default "": requests are not forwarded. */
  readonly nodeId?: string;
  /** Where a request stands that has not ended yet. Default: nothing is known of any. */
  readonly progress?: (requestId: string) => RequestProgress | null;
  readonly log: Log;
  /** Default: `log`, with the message "request". */
  readonly logRequest?: RequestLog;
  /** Told of each request that the guards did not let in. Default: nobody is. */
  readonly refused?: (code: ErrorCode) => void;
  /** Default: of this gateway alone. */
  readonly keyLimits?: KeyLimits;
  /** Default: the prompt's length, and no prefixes. */
  readonly fingerprint?: Fingerprint;
  /** Serves these models alone, one of each kind, whatever a request's `model` says. Default: all. */
  readonly onlyModels?: readonly string[];
  /** Default: a sign of life after 2 s of waiting, then every 5 s. */
  readonly signTimes?: SignTimes;
}

export interface UnixAddress {
  readonly path: string;
  /** Answers as a network address does: keys are asked for, and there is no admin API. Default false. */
  readonly guarded?: boolean;
}

export interface Gateway {
  /** Routes that answer from memory, for further dialects to register theirs before the first `listen`. */
  readonly app: FastifyInstance;
  /**
   * Opens a listener and returns its URL (`http://host:port`, without `/v1`) or the socket's path. A gateway may have
   * several. On a Unix socket (mode 0600) the admin API answers too, and neither key nor Host is asked for; elsewhere it
   * answers those whose key has the scope `admin`.
   * Throws `address_in_use` or `not_writable`.
   */
  listen(address: ListenAddress | UnixAddress): Promise<string>;
  /** Takes no new connections and resolves when the running requests have ended; with `now`, ends them. Callable again to hurry. */
  close(options?: { readonly now?: boolean }): Promise<void>;
}

// Longer than the idle time of common clients' pools: who closes first should be the client, who knows what it sends next.
const KEEP_ALIVE_MS = 75_000;

export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { control, log } = options;
  const context: DoorContext = {
    ...options,
    nodeId: options.nodeId ?? "",
    fingerprint: options.fingerprint ?? fingerprintByLength,
    progress: options.progress ?? (() => null),
    logRequest: options.logRequest ?? ((level, fields) => log[level](fields, "request")),
    refused: options.refused ?? (() => {}),
    keyLimits: options.keyLimits ?? new KeyLimits(),
    onlyModels: options.onlyModels ?? null,
  };
  const signTimes = options.signTimes ?? usualSignTimes;
  const servers = new Set<Server>();
  let stopping = false;
  const bodyLimitBytes = options.settings().bodyLimitBytes;
  const app = coldApp(log, bodyLimitBytes);
  registerOpenAiRoutes(app, context, () => stopping);
  registerMonitorRoutes(app, control);
  const admin = coldApp(log, bodyLimitBytes);
  registerAdminRoutes(admin, control);
  await admin.ready();

  return {
    app,
    async listen(address) {
      await app.ready();
      const local = "path" in address && address.guarded !== true;
      const cold: Parameters<typeof makeFront>[0]["cold"] = (request, response) => {
        const key = rememberedKey(request);
        const target = (local || key !== null) && request.url?.startsWith("/admin/") ? admin : app;
        if (target === admin) requireScope(key, "admin");
        target.routing(request, response);
      };
      const handler = makeFront({ context, guarded: !local, signTimes, cold });
      const server = createServer({ keepAliveTimeout: KEEP_ALIVE_MS, noDelay: true, requestTimeout: 0 }, (request, response) => {
        // A client that keeps its connection would otherwise keep a stopping daemon.
        if (stopping) response.shouldKeepAlive = false;
        handler(request, response);
      });
      watchDepartures(server);
      const where = await open(server, address);
      servers.add(server);
      return where;
    },
    async close({ now = false } = {}) {
      stopping = true;
      const closed = [...servers].map((server) => closeServer(server, now));
      await Promise.all(closed);
      await Promise.all([app.close(), admin.close()]);
    },
  };
}

async function open(server: Server, address: ListenAddress | UnixAddress): Promise<string> {
  if ("path" in address) {
    // The caller holds the daemon's lock: a socket that lies there belongs to nobody.
    await rm(address.path, { force: true });
    await bind(server, { path: address.path }, address.path);
    await chmod(address.path, 0o600);
    return address.path;
  }
  await bind(server, { host: address.host, port: address.port }, `${address.host}:${address.port}`);
  const { port } = server.address() as AddressInfo;
  // 0.0.0.0 is where to listen, not where to go.
  const host = address.host === "0.0.0.0" || address.host === "::" ? "127.0.0.1" : address.host;
  return `http://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function bind(server: Server, target: { path: string } | { host: string; port: number }, shown: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", (error: NodeJS.ErrnoException) => reject(bindError(error, shown)));
    server.listen(target, () => {
      server.removeAllListeners("error");
      resolve();
    });
  });
}

function bindError(error: NodeJS.ErrnoException, shown: string): AssistantError {
  switch (error.code) {
    case "EADDRINUSE":
      return new AssistantError("address_in_use", `Another program listens on ${shown}.`, {
        remedy: "Stop it, or choose another address with `[server] http_addr`.",
        cause: error,
      });
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new AssistantError("config_invalid", `${shown} is not an address of this machine.`, { remedy: "Correct `[server] http_addr`.", cause: error });
    default:
      return new AssistantError("not_writable", `Cannot listen on ${shown}: ${error.message}`, { cause: error });
  }
}

// Connections that were told to stay open before the end was decided become idle one by one.
const IDLE_SWEEP_MS = 50;

function closeServer(server: Server, now: boolean): Promise<void> {
  if (now) server.closeAllConnections();
  const sweep = setInterval(() => server.closeIdleConnections(), IDLE_SWEEP_MS);
  const closed = new Promise<void>((resolve) => {
    // A server that was told before keeps its answer to the first caller; the later ones see its connections end.
    if (server.listening) server.close(() => resolve());
    else server.getConnections((_, count) => (count === 0 ? resolve() : server.once("close", resolve)));
  });
  return closed.finally(() => clearInterval(sweep));
}
