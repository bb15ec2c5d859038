import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { FastifyInstance } from "fastify";
import type { AuditEntry } from "../api/audit.ts";
import type { Conversations } from "../conversations/conversations.ts";
import type { ListenAddress } from "../core/config.ts";
import type { Voice } from "../core/engine.ts";
import type { ErrorCode } from "../core/errors.ts";
import type { ModelSpec } from "../core/model.ts";
import type { RequestProgress } from "../core/request.ts";
import type { Tracer } from "../core/trace.ts";
import type { InferenceCore } from "../inference/core.ts";
import type { Log } from "../inference/ports.ts";
import type { ModelDirectory } from "../inference/resolve.ts";
import type { PullOrder } from "../models/presets/named.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { Pipelines } from "../pipelines/pipelines.ts";
import type { Library } from "../registry/library.ts";
import type { Registry } from "../registry/registry.ts";
import type { Tasks } from "../tasks/tasks.ts";
import type { Workers } from "../workers/registry.ts";
import { adminDoor } from "./doors/admin/routes.ts";
import { anthropicDoor } from "./doors/anthropic/door.ts";
import { apiV1Door } from "./doors/api-v1/door.ts";
import { kserveDoor } from "./doors/kserve/door.ts";
import { KserveModels } from "./doors/kserve/models.ts";
import { llamaCppDoor } from "./doors/llamacpp/door.ts";
import { llamaEdgeDoor } from "./doors/llamaedge/door.ts";
import { monitorDoor } from "./doors/monitor/routes.ts";
import { ollamaDoor } from "./doors/ollama/door.ts";
import { GREETING } from "./doors/ollama/memory-routes.ts";
import type { Batches } from "./doors/openai/batches/batches.ts";
import { openAiDoor } from "./doors/openai/door.ts";
import type { Files } from "./doors/openai/files/stored.ts";
import type { Responses } from "./doors/openai/responses/stored.ts";
import { pagesDoor } from "./doors/pages/door.ts";
import { defaultPipelineDoor, pipelinesDoor } from "./doors/pipelines/door.ts";
import { type ReplicasDoorOptions, replicasDoor } from "./doors/replicas/door.ts";
import { workerFrameworkDoor } from "./doors/worker-framework/door.ts";
import type { Authorizer } from "./front/authorize.ts";
import { ClientIds } from "./front/client-ids.ts";
import { watchDisconnects } from "./front/disconnect.ts";
import type { Door } from "./front/door.ts";
import { makeFront } from "./front/front.ts";
import { isFromHere, memoryApp } from "./front/memory-app.ts";
import { CLIENT_PACE, type ClientPace } from "./front/pace.ts";
import { hasRoom } from "./front/pipelined.ts";
import { refuseSlowBody } from "./front/slow-body.ts";
import { type SocketLimits, Sockets } from "./front/sockets.ts";
import { RouteTable } from "./front/table.ts";
import type {
  AuditPort,
  ControlPort,
  GatewaySettings,
  KeyPort,
  ModelWeights,
  PullPort,
  RunningSlots,
  ServersPort,
} from "./ports.ts";
import { closeServer, openServer, type UnixAddress } from "./server.ts";

export interface GatewayOptions {
  readonly inference: InferenceCore;
  readonly directory: ModelDirectory;
  readonly control: ControlPort;
  /** Default: the admin API downloads no models. */
  readonly pulls?: PullPort;
  readonly authorizer: Authorizer;
  /** Stored API keys. Default: the admin API has none. */
  readonly keys?: KeyPort;
  /** Takes and lists who changed what. Default: nobody does. */
  readonly audit?: AuditPort;
  /** Read anew on every request. */
  readonly settings: () => GatewaySettings;
  readonly version: string;
  /** Where a request stands that has not ended yet. Default: nothing is known of any. */
  readonly progress?: (requestId: string) => RequestProgress | null;
  readonly log: Log;
  /** Called for each request that the guards refuse. Default: nobody is. */
  readonly refused?: (code: ErrorCode) => void;
  /** Connections that a network listener has at once; further ones are closed. Default: no limit. */
  readonly maxConnections?: number;
  /** What the header of a model's weights says; null where they are not here. Default: nothing is known. */
  readonly weights?: (model: string) => ModelWeights | null;
  /** Registers models, for `/api/v1`. Default: there is no such API. */
  readonly registry?: Registry;
  /** Default: there are none. */
  readonly pipelines?: Pipelines;
  /** The listener answers with the pipeline marked `default` at its root, and with nothing else. Default: false. */
  readonly pipelineRoot?: boolean;
  /** Durable requests, for `/api/v1`. Default: there are none. */
  readonly tasks?: Tasks;
  /** Conversations that are kept for clients, for all listeners. Default: none are. */
  readonly conversations?: Conversations;
  /** What happens in the daemon, for those who watch. Default: nobody can. */
  readonly monitor?: Monitor;
  /** Of WebSockets. Default: `SOCKET_LIMITS`. */
  readonly socketLimits?: SocketLimits;
  /**
   * The models of this machine with their weights, for Ollama's API. Default: nothing is known of weights, and nothing
   * changed.
   */
  readonly library?: Library;
  /** Whether the hub has a file; null where it cannot be asked. `file` null: the repository. Default: it cannot be. */
  readonly isOnHub?: (repo: string, file: string | null) => Promise<boolean | null>;
  /** Who speaks in a speech model. Default: nobody is known. */
  readonly voices?: (model: ModelSpec) => Promise<readonly Voice[]>;
  /** Servers that join while the daemon runs. Default: none can. */
  readonly servers?: ServersPort;
  /** Who offers which capabilities. Default: nobody can register. */
  readonly replicas?: Omit<ReplicasDoorOptions, "directory" | "allowedHosts" | "isLocal">;
  /** The slots of a model's running instances. Default: none are known. */
  readonly slots?: RunningSlots;
  /** Files that clients upload, for all listeners. Default: they cannot. */
  readonly files?: Files;
  /** Files of requests that are answered later, for the listeners that serve all models. Default: there are none. */
  readonly batches?: Batches;
  /** Programs that register themselves, for `/v1.0`. Default: none can. */
  readonly workers?: Workers;
  /** Keeps the responses of OpenAI's Responses API, for all listeners. Default: none is kept. */
  readonly responses?: Responses;
  /** Traces requests. Default: nobody does. */
  readonly tracer?: Tracer | null;
  /** How slow clients may be. Default: `CLIENT_PACE`. */
  readonly pace?: ClientPace;
  /** Serves these models alone, one for each operation, whatever a request's `model` says. Default: all. */
  readonly onlyModels?: readonly string[];
}

export interface Gateway {
  /**
   * Opens a listener and returns its URL (`http://host:port`, without `/v1`) or the socket's path. A gateway may have
   * several. On a Unix socket (mode 0600) the admin API answers too, and neither key nor Host is asked for; elsewhere
   * it answers those whose key has the scope `admin`. `key`: of the configuration, where the address is written. Throws
   * `address_in_use` or `not_writable`.
   */
  listen(address: ListenAddress | UnixAddress, key?: string): Promise<string>;
  /** The same routes for calls that come another way than HTTP. */
  readonly routes: GatewayRoutes;
  /**
   * Takes no new connections and resolves when the running requests have ended; with `now`, ends them. Callable again
   * to hurry.
   */
  close(options?: { readonly now?: boolean }): Promise<void>;
}

export interface GatewayRoutes {
  readonly table: RouteTable;
  /** Answers the routes of the table that are not inference. Asks for a key as a network address does. */
  readonly memory: FastifyInstance;
  /** The door of OpenAI's API. */
  readonly openAi: Door;
  /** The doors whose routes other daemons may ask for. */
  readonly forwarded: readonly Door[];
  readonly kserve: KserveModels;
  /** What clients call the requests that run. */
  readonly clientIds: ClientIds;
  /** Takes what was changed, or tried to be, another way than by the routes. */
  readonly audit: (entry: AuditEntry) => void;
}

// Longer than the idle time of common clients' pools: who closes first should be the client, who knows what it sends
// next.
const KEEP_ALIVE_MS = 75_000;

export async function createGateway(options: GatewayOptions): Promise<Gateway> {
  const { inference, directory, control, authorizer, settings, version, log } = options;
  const {
    progress = () => null,
    refused = () => {},
    onlyModels = null,
    tracer = null,
    pace = CLIENT_PACE,
    maxConnections = null,
    weights = () => null,
    registry = null,
    tasks = null,
    conversations = null,
    monitor = null,
    socketLimits,
    pipelines = null,
    pipelineRoot = false,
    library = null,
    responses = null,
    files = null,
    batches = null,
    isOnHub = async () => null,
    pulls = null,
    keys = null,
    audit = null,
    voices = () => Promise.resolve([]),
    slots = () => Promise.resolve([]),
    servers: downstream = null,
    workers = null,
  } = options;
  const orderOf = registry === null ? asWritten : (reference: string) => registry.pullOrder(reference);
  const servers = new Set<Server>();
  let stopping = false;
  const clientIds = new ClientIds();
  const progressOf = (tenant: string, id: string): RequestProgress | null => progress(clientIds.find(tenant, id));
  const openAi = openAiDoor({
    inference,
    responses,
    conversations,
    files,
    batches: onlyModels === null ? batches : null,
    directory,
    weights,
    voices,
    version,
    progress: progressOf,
    onlyModels,
    isStopping: () => stopping,
  });
  const ollama = ollamaDoor({ inference, directory, control, pulls, orderOf, library, onlyModels });
  const table = new RouteTable();
  const pages = pagesDoor({
    ...{ version, directory, control, authorizer, onlyModels },
    routes: () => table.rows(),
    greeting: GREETING,
  });
  const doors = [
    openAi,
    monitorDoor(control, monitor),
    adminDoor(control, pulls, orderOf, { keys, audit }),
    ollama,
    pages,
  ];
  doors.push(anthropicDoor({ directory, onlyModels }));
  const llamaCpp = llamaCppDoor({ directory, inference, authorizer, onlyModels, slots });
  doors.push(llamaCpp);
  const fileText = async (tenant: string, id: string, maxBytes: number): Promise<string | null> =>
    (await files?.text(tenant, id, maxBytes)) ?? null;
  doors.push(llamaEdgeDoor({ servers: downstream, directory, inference, authorizer, onlyModels, fileText }));
  const kserve = new KserveModels({ directory, control, version, onlyModels, isStopping: () => stopping });
  doors.push(kserveDoor(kserve));
  if (registry !== null)
    doors.push(
      apiV1Door({
        ...{ inference, directory, control, authorizer, registry, tasks, conversations, monitor, version },
        ...{ isOnHub, pulls, onlyModels },
      }),
    );
  const local = new WeakSet<IncomingMessage>();
  const registration: Pick<ReplicasDoorOptions, "allowedHosts" | "isLocal"> = {
    allowedHosts: () => settings().workerHosts ?? [],
    isLocal: ({ raw }) => local.has(raw) || isFromHere(raw),
  };
  if (workers !== null) doors.push(workerFrameworkDoor({ workers, ...registration }));
  if (options.replicas !== undefined) doors.push(replicasDoor({ ...options.replicas, ...registration, directory }));
  if (pipelines !== null) doors.push(pipelinesDoor({ pipelines, authorizer }));
  if (pipelines !== null && pipelineRoot) doors.splice(0, doors.length, defaultPipelineDoor({ pipelines, authorizer }));
  for (const door of doors) {
    for (const route of door.inference) {
      const entry = {
        door,
        scope: door.scope,
        inference: route,
        describe: route.describe ?? door.describe?.[`POST ${route.path}`] ?? null,
      };
      table.add("POST", route.path, entry);
    }
  }
  const { bodyLimitBytes } = settings();
  const record = (entry: AuditEntry): void => audit?.append(entry);
  const memory = await memoryApp({
    doors,
    table,
    authorizer,
    log,
    refused,
    bodyLimitBytes,
    audit: record,
    isLocal: (request) => local.has(request),
  });

  const sockets = new Sockets({
    ...{ doors, authorizer, settings, log, refused },
    ...(socketLimits === undefined ? {} : { limits: socketLimits }),
  });

  return {
    routes: { table, memory, openAi, forwarded: [openAi, llamaCpp], kserve, clientIds, audit: record },
    async listen(address, key = "`[server] http_addr`") {
      const guarded = !("path" in address);
      const answerFromMemory = (request: IncomingMessage, response: ServerResponse): void => {
        if (!guarded) local.add(request);
        refuseSlowBody(request, response, pace);
        memory.routing(request, response);
      };
      const handler = makeFront({
        inference,
        table,
        fallback: doors[0] ?? openAi,
        authorizer,
        settings,
        log,
        refused,
        onlyModels,
        clientIds,
        guarded,
        pace,
        tracer,
        answerFromMemory,
      });
      const server = createServer(
        {
          keepAliveTimeout: KEEP_ALIVE_MS,
          noDelay: true,
          // Of how long a body may take altogether nothing is known: files are uploaded too.
          requestTimeout: 0,
          headersTimeout: pace.headersMs,
          connectionsCheckingInterval: pace.headersMs,
          shouldUpgradeCallback: sockets.wants,
        },
        (request, response) => {
          if (!hasRoom(request, response)) return;
          // A client that keeps its connection would otherwise keep a stopping daemon.
          if (stopping) response.shouldKeepAlive = false;
          handler(request, response);
        },
      );
      server.on("upgrade", (request, socket, head) => sockets.upgrade(request, socket, head, guarded));
      if (guarded && maxConnections !== null) {
        server.maxConnections = maxConnections;
        // Those that only wait for their next request make room for clients that have one now.
        server.on("drop", () => server.closeIdleConnections());
      }
      watchDisconnects(server);
      const where = await openServer(server, address, key);
      servers.add(server);
      return where;
    },
    async close({ now = false } = {}) {
      stopping = true;
      sockets.close({ now });
      const closed = [...servers].map((server) => closeServer(server, now));
      await Promise.all(closed);
      await memory.close();
    },
  };
}

/** Without presets a reference is what it says. */
const asWritten = async (reference: string): Promise<PullOrder> => ({ reference, name: null });
