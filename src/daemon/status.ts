import type { NodeStatus } from "../api/nodes.ts";
import type { ProviderStatus } from "../api/providers.ts";
import type { DaemonStatus, InstanceStatus, ModelStatus } from "../api/status.ts";
import type { Config, ConfigNotice } from "../core/config.ts";
import type { Hardware } from "../core/device.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import type { ModelSpec } from "../core/model.ts";
import { ownResidentBytes } from "../core/process.ts";
import type { InstanceLoad, SchedulerSnapshot } from "../scheduler/snapshot.ts";
import { missingReplicas, type ReplicaFacts } from "./replicas.ts";

export interface StatusParts {
  readonly version: string;
  readonly startedAt: number;
  readonly now: number;
  readonly state: DaemonStatus["state"];
  readonly url: string | null;
  readonly config: Config;
  /** What is wrong with the configuration's files. */
  readonly notices: readonly ConfigNotice[];
  /** Settings that take effect when the daemon is restarted. */
  readonly restartSettings: readonly string[];
  readonly logFile: string;
  readonly hardware: Hardware;
  readonly instances: readonly InstanceSnapshot[];
  readonly scheduler: SchedulerSnapshot;
  readonly memory: {
    /** Bytes on its device; null where not known. */
    measured(snapshot: InstanceSnapshot): number | null;
    estimateFor(model: string, device: string): number | null;
  };
  /** Why the weights of a model cannot be loaded, or null. */
  weightsProblem(model: string): string | null;
  readonly nodes: readonly NodeStatus[];
  readonly providers: readonly ProviderStatus[];
  /** Where gRPC is served, or null. */
  readonly grpc: string | null;
  /**
   * With what they offer: those of this machine, and those that only other machines have. What providers offer is in
   * `providers`, and may be hundreds.
   */
  readonly models: readonly ModelSpec[];
  readonly hints: readonly string[];
}

const RUNNING = ["starting", "ready", "draining"];

/** What `/admin/status` answers, put together from the parts that own it. Pure. */
export function assembleStatus(parts: StatusParts): DaemonStatus {
  const { config, scheduler } = parts;
  const instances = parts.instances.map((snapshot) =>
    instanceStatus(snapshot, scheduler.instances.get(snapshot.id), parts.memory),
  );
  const running = parts.instances.filter(({ state }) => RUNNING.includes(state));
  const replicaFacts = (model: ModelSpec): ReplicaFacts => ({
    model,
    running: running.filter((snapshot) => snapshot.model === model.name).length,
    runningOfAll: running.length,
    scheduler: config.scheduler,
    devices: parts.hardware.devices,
    estimate: (device) => parts.memory.estimateFor(model.name, device),
  });
  return {
    version: parts.version,
    pid: process.pid,
    startedAt: parts.startedAt,
    now: parts.now,
    state: parts.state,
    url: parts.url,
    configFile: config.paths.configFile,
    configFileFound: config.configFileFound,
    dataDir: config.paths.dataDir,
    logFile: parts.logFile,
    rssBytes: ownResidentBytes() ?? 0,
    requestsServed: scheduler.requestsServed,
    queued: scheduler.queued,
    models: parts.models.map((model): ModelStatus => {
      const view = scheduler.models.get(model.name);
      return {
        name: model.name,
        aliases: [...model.aliases],
        kind: model.kind,
        capabilities: { ...model.capabilities },
        engine: engineOf(model),
        queued: view?.queued ?? 0,
        instances: instances.filter((instance) => instance.model === model.name && instance.state === "ready").length,
        coming: view?.coming ?? false,
        pinned: view?.pinned ?? model.pinned,
        replicasNote: model.nodes === undefined ? missingReplicas(replicaFacts(model)) : null,
        error:
          view?.error ??
          (model.nodes === undefined ? parts.weightsProblem(model.name) : providerProblem(model, parts.providers)),
      };
    }),
    instances,
    devices: parts.hardware.devices.map(({ env: _env, ...device }) => {
      const holder = scheduler.exclusive.get(device.id);
      return holder === undefined ? device : { ...device, exclusiveRequest: holder };
    }),
    notices: parts.notices.map((notice) => ({ ...notice })),
    restartSettings: [...parts.restartSettings],
    grpc: parts.grpc,
    nodes: [...parts.nodes],
    providers: [...parts.providers],
    hints: [...parts.hints],
  };
}

/** What runs a model, for lists. */
function engineOf({ source, nodes, engine }: ModelSpec): string {
  if (source.type === "provider" || source.type === "worker" || source.type === "pipeline") return source.type;
  return nodes === undefined ? engine : "remote";
}

/** Why none of its providers can serve a model, or null. */
function providerProblem({ source }: ModelSpec, providers: readonly ProviderStatus[]): string | null {
  if (source.type !== "provider") return null;
  const states = source.offers.map((offer) => providers.find(({ name }) => name === offer.provider));
  if (states.some((status) => status?.state === "up")) return null;
  return states.find((status) => status?.state === "down")?.lastError ?? "its provider is not enabled";
}

function instanceStatus(
  snapshot: InstanceSnapshot,
  view: InstanceLoad | undefined,
  memory: StatusParts["memory"],
): InstanceStatus {
  const { decodingTokensPerSecond, ...facts } = snapshot;
  return {
    ...facts,
    ...(facts.traits.onlyOpenAi === true ? { onlyOpenAi: true } : {}),
    memoryBytes: memory.measured(snapshot),
    estimatedMemoryBytes: memory.estimateFor(snapshot.model, snapshot.device),
    inFlight: view?.inFlight ?? 0,
    load: view?.load ?? 0,
    decodeTokensPerSecond: decodeRate(view?.decodeTokensPerSecond ?? null, decodingTokensPerSecond ?? 0),
    prefillTokensPerSecond: view?.prefillTokensPerSecond ?? null,
    requestsServed: view?.requestsServed ?? 0,
    lastUsedAt: view?.lastUsedAt ?? null,
    idleStopAt: view?.idleStopAt ?? null,
    pinned: view?.pinned ?? false,
  };
}

/**
 * Answers that have ended are counted exactly, those that are being generated from time to time: whichever is more has
 * seen more.
 */
const decodeRate = (ended: number | null, generating: number): number | null =>
  generating > 0 ? Math.max(ended ?? 0, generating) : ended;
