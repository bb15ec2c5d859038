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
import { AssistantError, isAssistantError } from "../core/errors.ts";
import { type ChatEvent, type ChatRequest, streamChat } from "./chat-stream.ts";
import { callJson } from "./unix-http.ts";

/** The daemon as commands see it. Every call throws AssistantError; `daemon_not_running` when nobody answers. */
export interface DaemonClient {
  readonly socketPath: string;
  status(): Promise<DaemonStatus>;
  /** Everything that is configured or pulled. */
  models(): Promise<ModelList>;
  /** The remote servers, as the daemon sees them. */
  nodes(): Promise<NodesReport>;
  actOnNode(action: NodeAction): Promise<NodeActed>;
  /** The programs that have registered themselves. */
  workers(): Promise<WorkersReport>;
  /** What each key has used. */
  usage(): Promise<UsageReport>;
  usageByDay(query: { readonly from: string; readonly key?: string }): Promise<UsageByDay>;
  keys(): Promise<{ readonly keys: readonly KeyView[] }>;
  key(name: string): Promise<KeyView>;
  createKey(order: KeyOrder): Promise<NewKey>;
  rotateKey(name: string, graceS: number): Promise<NewKey>;
  revokeKey(name: string, options: { readonly forget: boolean }): Promise<{ readonly key: KeyView }>;
  /** Who changed what, newest first. */
  audit(query: { readonly since?: number; readonly limit: number; readonly after?: string }): Promise<AuditReport>;
  /** Stops, restarts, pins or unpins one instance. Returns once the daemon has accepted it. */
  act(instanceId: string, action: InstanceAction["action"]): Promise<void>;
  /** Loads, unloads or restarts a model, named by name or alias. Returns once the daemon has accepted it. */
  actOnModel(name: string, action: "load" | "unload" | "restart"): Promise<void>;
  /** Reads the configuration again; running instances whose settings did not change go on. */
  reload(): Promise<ReloadReport>;
  /** Asks it to end: after running requests have finished or, with `now`, at once. Returns when it has accepted. */
  shutdown(options: { readonly now: boolean }): Promise<void>;
  /** Streams one chat answer. Ends with `done`; leaving the loop, or aborting the signal, cancels the work. */
  chat(request: ChatRequest, signal: AbortSignal): AsyncGenerator<ChatEvent>;
}

// The admin routes read memory; a daemon that needs longer than this is stuck.
const ADMIN_SILENCE_MS = 10_000;
/** Of those that may have to read many model files from a slow disk. */
const READING_SILENCE_MS = 60_000;

/** A client for the daemon of these paths. Nothing is sent yet. */
export function daemonClient(paths: Pick<Paths, "adminSocket">): DaemonClient {
  const socketPath = paths.adminSocket;
  const post = <Answer>(path: string, body: unknown): Promise<Answer> =>
    callJson<Answer>({ socketPath, method: "POST", path, body, silenceMs: ADMIN_SILENCE_MS });
  const get = <Answer>(path: string): Promise<Answer> =>
    callJson<Answer>({ socketPath, method: "GET", path, silenceMs: ADMIN_SILENCE_MS });
  return {
    socketPath,
    usageByDay: (query) => get(`${adminRoutes.usageByDay}?${searchOf(query)}`),
    keys: () => get(adminRoutes.keys),
    key: (name) => get(adminRoutes.key(name)),
    createKey: (order) => post(adminRoutes.keys, order),
    rotateKey: (name, graceS) => post(adminRoutes.key(name), { action: "rotate", graceS }),
    revokeKey: (name, { forget }) => post(adminRoutes.key(name), { action: "revoke", forget }),
    audit: (query) => get(`${adminRoutes.audit}?${searchOf(query)}`),
    nodes: () =>
      callJson<NodesReport>({ socketPath, method: "GET", path: adminRoutes.nodes, silenceMs: ADMIN_SILENCE_MS }),
    actOnNode: (action) => post(adminRoutes.nodes, action),
    workers: () => get("/v1.0/workers"),
    usage: () =>
      callJson<UsageReport>({ socketPath, method: "GET", path: adminRoutes.usage, silenceMs: ADMIN_SILENCE_MS }),
    status: () =>
      callJson<DaemonStatus>({ socketPath, method: "GET", path: adminRoutes.status, silenceMs: ADMIN_SILENCE_MS }),
    act: async (instanceId, action) => void (await post(adminRoutes.instance(instanceId), { action })),
    actOnModel: async (name, action) => void (await post(adminRoutes.model(name), { action })),
    models: () =>
      callJson<ModelList>({ socketPath, method: "GET", path: adminRoutes.models, silenceMs: READING_SILENCE_MS }),
    reload: () =>
      callJson<ReloadReport>({
        socketPath,
        method: "POST",
        path: adminRoutes.reload,
        body: {},
        silenceMs: READING_SILENCE_MS,
      }),
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

type Place = Pick<Paths, "adminSocket" | "dataDir">;
type Connection = { readonly client: DaemonClient; readonly status: DaemonStatus };

/** The client and a first status. Throws `daemon_not_running`, or `daemon_not_answering` where one runs that cannot be reached. */
export async function connect(paths: Place): Promise<Connection> {
  const client = daemonClient(paths);
  try {
    return { client, status: await client.status() };
  } catch (error) {
    if (!isAssistantError(error) || error.code !== "daemon_not_running") throw error;
    // The lock tells a daemon that is not there from one whose socket is gone.
    const holder = await lockHolder(paths.dataDir);
    throw holder === null ? error : notAnswering(holder.pid, paths.adminSocket, error);
  }
}

/** Like `connect`, but null where no daemon runs. Other errors are thrown. */
export async function connectIfRunning(paths: Place): Promise<Connection | null> {
  try {
    return await connect(paths);
  } catch (error) {
    if (isAssistantError(error) && error.code === "daemon_not_running") return null;
    throw error;
  }
}

/** Like `connectIfRunning`, but null too where one runs that does not answer: for commands that tell more with a daemon and enough without. */
export async function connectIfAnswering(paths: Place): Promise<Connection | null> {
  try {
    return await connect(paths);
  } catch (error) {
    if (isAssistantError(error) && ["daemon_not_running", "daemon_not_answering"].includes(error.code)) return null;
    throw error;
  }
}

/** What the daemon lists; null where none answers, or one of an earlier version. */
export async function modelsOfDaemon(paths: Pick<Paths, "adminSocket">): Promise<ModelList | null> {
  try {
    return await daemonClient(paths).models();
  } catch (error) {
    if (isAssistantError(error) && ["daemon_not_running", "route_not_found"].includes(error.code)) return null;
    throw error;
  }
}

const notAnswering = (pid: number, adminSocket: string, cause: unknown): AssistantError =>
  new AssistantError("daemon_not_answering", `The daemon (pid ${pid}) runs but does not answer at ${adminSocket}.`, {
    remedy: "If it has just been started or is being stopped, wait a moment. If not, `assistant stop --now` ends it.",
    cause,
  });
