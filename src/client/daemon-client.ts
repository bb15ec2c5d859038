import type { AuditReport } from "../api/audit.ts";
import type { KeyOrder, KeyView, NewKey } from "../api/keys.ts";
import type { ModelList } from "../api/models.ts";
import type { NodeActed, NodeAction, NodesReport } from "../api/nodes.ts";
import type { ReloadReport } from "../api/reload.ts";
import { adminRoutes } from "../api/routes.ts";
import type { DaemonStatus, InstanceAction } from "../api/status.ts";
import type { UsageByDay, UsageReport } from "../api/usage.ts";
import type { WorkersReport } from "../api/workers.ts";
import type { Paths } from "../core/config.ts";
import { lockHolder } from "../core/daemon-lock.ts";
import { AssistantError, type ErrorCode, isAssistantError } from "../core/errors.ts";
import { type ChatEvent, type ChatRequest, streamChat } from "./chat-stream.ts";
import { callJson, otherProgram } from "./unix-http.ts";

/**
 * The daemon as commands see it. Every call rejects with the daemon's own AssistantError, or with `daemon_not_running`
 * if nothing answers on the socket. Calls give up after 10 s without data, those that read model files after 60 s.
 */
export interface DaemonClient {
  readonly socketPath: string;
  status(): Promise<DaemonStatus>;
  /** All configured and pulled models. */
  models(): Promise<ModelList>;
  /** The remote servers, as the daemon sees them. */
  nodes(): Promise<NodesReport>;
  /** Drains or uncordons a machine of the cluster. */
  actOnNode(action: NodeAction): Promise<NodeActed>;
  /** The registered workers. */
  workers(): Promise<WorkersReport>;
  /** Usage per API key and model. */
  usage(): Promise<UsageReport>;
  /** `from`: first day, `YYYY-MM-DD` in UTC; `key`: default all. Newest first. */
  usageByDay(query: { readonly from: string; readonly key?: string }): Promise<UsageByDay>;
  keys(): Promise<{ readonly keys: readonly KeyView[] }>;
  /** Rejects with `key_not_found`. */
  key(name: string): Promise<KeyView>;
  /** Rejects with `key_exists`. */
  createKey(order: KeyOrder): Promise<NewKey>;
  /** `graceS`: seconds for which the old secret still works. */
  rotateKey(name: string, graceS: number): Promise<NewKey>;
  /** `forget`: also deletes the key's record and everything that it has stored. */
  revokeKey(name: string, options: { readonly forget: boolean }): Promise<{ readonly key: KeyView }>;
  /** The audit trail, newest first. `since`: epoch milliseconds; `after`: `next` of the previous page. */
  audit(query: { readonly since?: number; readonly limit: number; readonly after?: string }): Promise<AuditReport>;
  /** Stops, restarts, pins or unpins one instance. Returns once the daemon has accepted it. */
  act(instanceId: string, action: InstanceAction["action"]): Promise<void>;
  /** Loads, unloads or restarts a model, named by name or alias. Returns once the daemon has accepted it. */
  actOnModel(name: string, action: "load" | "unload" | "restart"): Promise<void>;
  /** Reloads the configuration. Rejects with `config_invalid`, and then changes nothing. */
  reload(): Promise<ReloadReport>;
  /**
   * Asks the daemon to stop, after running requests have finished or, with `now`, at once. Returns once it has
   * accepted.
   */
  shutdown(options: { readonly now: boolean }): Promise<void>;
  /** Streams one chat answer, which ends with `done`. Leaving the loop or aborting the signal cancels the request. */
  chat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatEvent>;
}

// The admin routes read memory; a daemon that needs longer than this is stuck.
const ADMIN_SILENCE_MS = 10_000;
/** For requests that may have to read many model files from a slow disk. */
const READING_SILENCE_MS = 60_000;

/** A client for the daemon with this socket. Sends nothing yet. */
export function daemonClient(paths: Pick<Paths, "adminSocket">): DaemonClient {
  const socketPath = paths.adminSocket;
  const post = <Answer>(path: string, body: unknown, silenceMs = ADMIN_SILENCE_MS): Promise<Answer> =>
    callJson<Answer>({ socketPath, method: "POST", path, body, silenceMs });
  const get = <Answer>(path: string, silenceMs = ADMIN_SILENCE_MS): Promise<Answer> =>
    callJson<Answer>({ socketPath, method: "GET", path, silenceMs });
  return {
    socketPath,
    usageByDay: (query) => get(`${adminRoutes.usageByDay}?${searchOf(query)}`),
    keys: () => get(adminRoutes.keys),
    key: (name) => get(adminRoutes.key(name)),
    createKey: (order) => post(adminRoutes.keys, order),
    rotateKey: (name, graceS) => post(adminRoutes.key(name), { action: "rotate", graceS }),
    revokeKey: (name, { forget }) => post(adminRoutes.key(name), { action: "revoke", forget }),
    audit: (query) => get(`${adminRoutes.audit}?${searchOf(query)}`),
    nodes: () => get(adminRoutes.nodes),
    actOnNode: (action) => post(adminRoutes.nodes, action),
    workers: () => get("/v1.0/workers"),
    usage: () => get(adminRoutes.usage),
    status: () => get(adminRoutes.status),
    act: async (instanceId, action) => void (await post(adminRoutes.instance(instanceId), { action })),
    actOnModel: async (name, action) => void (await post(adminRoutes.model(name), { action })),
    models: () => get(adminRoutes.models, READING_SILENCE_MS),
    reload: () => post(adminRoutes.reload, {}, READING_SILENCE_MS),
    shutdown: async ({ now }) => void (await post(adminRoutes.shutdown, { now })),
    chat: (request, signal) => streamChat(socketPath, request, signal),
  };
}

const searchOf = (query: Readonly<Record<string, string | number | undefined>>): string =>
  new URLSearchParams(
    Object.entries(query).flatMap(([name, value]): [string, string][] =>
      value === undefined ? [] : [[name, String(value)]],
    ),
  ).toString();

/** Nothing listens, or sends nothing. */
const UNREACHABLE: ReadonlySet<ErrorCode> = new Set(["daemon_not_running", "daemon_not_answering"]);

const isAbsent = ({ code }: AssistantError): boolean => UNREACHABLE.has(code) || code === "address_in_use";

type Place = Pick<Paths, "adminSocket" | "dataDir">;
type Connection = { readonly client: DaemonClient; readonly status: DaemonStatus };

/**
 * The client and a first status. Rejects with `daemon_not_running`, `daemon_not_answering` if the running daemon cannot
 * be reached, or `address_in_use` if another program listens on its socket.
 */
export async function connect(paths: Place): Promise<Connection> {
  const client = daemonClient(paths);
  try {
    return { client, status: await client.status() };
  } catch (error) {
    if (!isAssistantError(error) || !UNREACHABLE.has(error.code)) throw error;
    // The lock distinguishes a daemon that is not running from one without its socket.
    const holder = await lockHolder(paths.dataDir);
    if (holder !== null) throw notAnswering(holder.pid, paths.adminSocket, error);
    if (error.code === "daemon_not_answering")
      throw otherProgram(paths.adminSocket, "it accepts connections and sends nothing", error);
    throw error;
  }
}

/** Like `connect`, but null if no daemon is running. */
export async function connectIfRunning(paths: Place): Promise<Connection | null> {
  try {
    return await connect(paths);
  } catch (error) {
    if (isAssistantError(error) && error.code === "daemon_not_running") return null;
    throw error;
  }
}

/**
 * Like `connectIfRunning`, but also null if the daemon does not answer or another program does, for commands that can do
 * without it.
 */
export async function connectIfAnswering(paths: Place): Promise<Connection | null> {
  try {
    return await connect(paths);
  } catch (error) {
    if (isAssistantError(error) && isAbsent(error)) return null;
    throw error;
  }
}

/** What the daemon lists; null where none answers, or one of an earlier version. */
export async function modelsOfDaemon(paths: Pick<Paths, "adminSocket">): Promise<ModelList | null> {
  try {
    return await daemonClient(paths).models();
  } catch (error) {
    if (isAssistantError(error) && (isAbsent(error) || error.code === "route_not_found")) return null;
    throw error;
  }
}

const notAnswering = (pid: number, adminSocket: string, cause: unknown): AssistantError =>
  new AssistantError(
    "daemon_not_answering",
    `The daemon (pid ${pid}) is running but does not respond at ${adminSocket}.`,
    {
      remedy: "If it is just starting or stopping, wait a moment. Otherwise, `assistant stop --now` stops it.",
      cause,
    },
  );
