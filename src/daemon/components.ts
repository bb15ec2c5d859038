import { join } from "node:path";
import { steadyClock } from "../core/clock.ts";
import type { Config } from "../core/config.ts";
import type { FleetEvent } from "../core/fleet.ts";
import { Signal } from "../core/signal.ts";
import type { Tracer } from "../core/trace.ts";
import { createEngineProbe } from "../engines/index.ts";
import { engineEnvironment } from "../fleet/environment.ts";
import { Fleet } from "../fleet/fleet.ts";
import { defaultFleetSettings, type FleetSettings } from "../fleet/ports.ts";
import { SlotCache } from "../fleet/slot-cache.ts";
import { InferenceCore } from "../inference/core.ts";
import type { KeyRing } from "../keys/key-ring.ts";
import { checkAdapters } from "../models/companions.ts";
import { HeaderCache } from "../models/header-cache.ts";
import type { PullService } from "../models/pull-service.ts";
import { checkProjector, resolveWeights } from "../models/resolve.ts";
import type { ModelStore } from "../models/store.ts";
import { Scheduler } from "../scheduler/loop.ts";
import { promptFacts } from "../scheduler/prefix/fingerprint.ts";
import type { Stores } from "../store/stores.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Current } from "./current.ts";
import { Directory } from "./directory.ts";
import { FailureDetector } from "./failure-detector.ts";
import { InstanceUpstreams } from "./instance-upstreams.ts";
import { type Measured, Memory } from "./memory.ts";
import type { Metering } from "./metering.ts";
import { createPulls } from "./pulls.ts";
import { Remotes } from "./remotes.ts";
import { withoutQuotes } from "./request-line.ts";
import { Weights } from "./weights.ts";

/** A wedge is only found at a look, so that short times need frequent ones. */
const MIN_POLL_MS = 50;
const LOOKS_PER_WEDGE = 6;

export const fleetSettings = ({ scheduler: { startTimeoutMs, wedgeAfterMs } }: Config): Partial<FleetSettings> => ({
  startTimeoutMs,
  wedgeAfterMs,
  pollMs: Math.max(MIN_POLL_MS, Math.min(defaultFleetSettings.pollMs, wedgeAfterMs / LOOKS_PER_WEDGE)),
  suspectTokenMs: Math.min(defaultFleetSettings.suspectTokenMs, wedgeAfterMs),
});

/** Everything that does the daemon's work, made and connected, and nothing started. */
export interface Components {
  readonly directory: Directory;
  /** The weights of this machine. */
  readonly modelStore: ModelStore;
  readonly headers: HeaderCache;
  readonly fleet: Fleet;
  readonly slotCache: SlotCache;
  readonly memory: Memory;
  readonly weights: Weights;
  readonly pulls: PullService;
  readonly scheduler: Scheduler;
  readonly remotes: Remotes;
  readonly inference: InferenceCore;
  readonly fleetEvents: Signal<FleetEvent>;
  /** Estimates have come in. */
  readonly estimated: Signal<void>;
}

export interface Ground {
  readonly current: Current;
  readonly stores: Stores;
  readonly log: DaemonLog;
  readonly metering: Metering;
  readonly keys: Pick<KeyRing, "keys">;
  /** Null: nothing is traced. */
  readonly tracer: Tracer | null;
  /** Reads the configuration again. */
  reload(): Promise<unknown>;
}

export function createComponents({ current, stores, log, metering, keys, tracer, reload }: Ground): Components {
  const { config, env } = current;
  const clock = steadyClock;
  const fleetEvents = new Signal<FleetEvent>();
  const measured = new Signal<Measured>();
  const estimated = new Signal<void>();
  const directory = new Directory((model) => weights.capabilities(model));
  const upstreams = new InstanceUpstreams();
  const modelStore = { weightsDir: config.paths.weightsDir, manifests: stores.manifests };
  const headers = new HeaderCache(stores.data);
  const probe = createEngineProbe();
  const slotCache = new SlotCache({
    directory: join(config.paths.dataDir, "slots"),
    budgetBytes: () => current.config.slotCacheBytes,
    probe,
    log: log.part("slots"),
  });
  const fleet = new Fleet({
    engineFor: (model) => current.engines.choose(model),
    resolveWeights: async ({ source, kind, load }) => {
      await checkProjector(load.projectorPath);
      await checkAdapters(load);
      return await resolveWeights(source, modelStore, kind);
    },
    resolveDraft: async ({ load }) => {
      const draft = load.llama.speculation?.draft ?? null;
      return draft === null ? null : await resolveWeights(draft, modelStore);
    },
    probe,
    slotCache,
    isCurrent: ({ name, fingerprint }) =>
      current.config.models.some((model) => model.name === name && model.fingerprint === fingerprint),
    clock,
    random: Math.random,
    documents: stores.run,
    runDir: config.paths.runDir,
    logDir: join(config.paths.logDir, "instances"),
    log: log.part("fleet"),
    settings: fleetSettings(config),
    baseEnv: engineEnvironment(env),
    onEvent: fleetEvents.emit,
  });
  const failureDetector = new FailureDetector((instanceId) => fleet.suspect(instanceId));
  const memory = new Memory({
    env,
    documents: stores.data,
    store: modelStore,
    log: log.part("memory"),
    devices: () => current.hardware.devices,
    instances: () => fleet.snapshots(),
    engineOf: async (model) => (await current.engines.choose(model)).id,
    onMeasured: measured.emit,
    onEstimated: estimated.emit,
  });
  const remotes = new Remotes({ log: log.part("cluster"), directory });
  const scheduler = new Scheduler({
    fleet,
    measure: () => void memory.measure(),
    clock,
    log: log.part("scheduler"),
    upstreamOf: (targetId) => upstreams.find(targetId) ?? remotes.find(targetId),
    ended: (instanceId, end, answered) => failureDetector.ended(instanceId, end, answered),
  });
  const weights = new Weights({
    clock,
    store: modelStore,
    headers,
    models: () => current.config.models,
    onMended: (name) => {
      // What failed for want of them is not to wait for the end of its pause.
      for (const { id, model, state } of fleet.snapshots())
        if (model === name && state === "failed") scheduler.operate("stop", { instance: id });
    },
    onChanged: () => directory.replace(current.config, Date.now()),
  });
  const pulls = createPulls({ current, store: modelStore, reload });
  const requestLog = log.requests("gateway");
  const inference = new InferenceCore({
    dispatcher: scheduler,
    directory: {
      find: (name) => directory.find(name),
      fallback: (operation) =>
        current.config.unknownModel === "default"
          ? directory.substitute(operation, (model) => weights.problem(model) === null)
          : undefined,
      all: () => directory.all(),
      offers: () => directory.offers(),
      createdAt: (name) => directory.createdAt(name),
    },
    tenancy: () => ({ apiKeys: keys.keys, sharePrefixes: current.config.sharePrefixes }),
    fingerprint: promptFacts,
    maxMessages: () => current.config.maxMessages,
    tracer,
    log: log.part("gateway"),
    logRequest: metering.counting((level, fields) => requestLog(level, withoutQuotes(fields))),
  });

  measured.add(({ devices, use }) => {
    current.replaceDevices(devices);
    scheduler.onDevices(current.hardware.devices, use);
  });
  remotes.changed.add((change) => scheduler.onRemotes(change));
  // The upstream of an instance is known before the scheduler sends anything there.
  fleetEvents.add((event) => upstreams.onFleetEvent(event));
  fleetEvents.add((event) => scheduler.onFleetEvent(event));
  fleetEvents.add((event) => metering.onFleetEvent(event));
  fleetEvents.add(({ snapshot: { id, state } }) => {
    if (state === "starting") failureDetector.forget(id);
  });
  return {
    directory,
    modelStore,
    headers,
    fleet,
    slotCache,
    memory,
    weights,
    pulls,
    scheduler,
    remotes,
    inference,
    fleetEvents,
    estimated,
  };
}
