import type { ReloadReport } from "../api/reload.ts";
import type { DaemonStatus } from "../api/status.ts";
import type { Membership } from "../cluster/membership.ts";
import { hasStoredKeys } from "../config/stored-keys.ts";
import { systemClock } from "../core/clock.ts";
import type { ApiKey, Config } from "../core/config.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import { version } from "../core/package.ts";
import { Authorizer } from "../gateway/front/authorize.ts";
import type { AuditPort } from "../gateway/ports.ts";
import type { Log } from "../inference/ports.ts";
import { AuditTrail } from "../keys/audit-trail.ts";
import { resolveWeights } from "../models/resolve.ts";
import { WeightsServer } from "../models/weights-server.ts";
import type { Monitor } from "../monitor/monitor.ts";
import type { Pipelines } from "../pipelines/pipelines.ts";
import type { Pools } from "../replicas/pools.ts";
import type { Replicas } from "../replicas/replicas.ts";
import type { Tasks } from "../tasks/tasks.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Workers } from "../workers/registry.ts";
import { type Components, createComponents, fleetSettings } from "./components.ts";
import { createControl } from "./control.ts";
import { createConversations } from "./conversations.ts";
import type { Current } from "./current.ts";
import { createDeferred, type Deferred } from "./deferred.ts";
import { engineSlots } from "./engine-slots.ts";
import { tidyWhenQuiet } from "./heap.ts";
import { logFatalErrors } from "./last-resort.ts";
import { Listeners } from "./listeners.ts";
import { createMembership } from "./membership.ts";
import { createMonitor } from "./monitor.ts";
import { lasting, type Part, startParts, stopParts } from "./parts.ts";
import { createPipelines } from "./pipelines.ts";
import { createObjects, createPools, createReplicas } from "./registered-replicas.ts";
import { registeredServers } from "./registered-servers.ts";
import { createOffer } from "./registry.ts";
import { Reloader } from "./reloader.ts";
import { openResources, type ResourceOptions, type Resources } from "./resources.ts";
import { sweeping } from "./sweeping.ts";
import { countingTasks } from "./task-metrics.ts";
import { createTasks } from "./tasks.ts";
import { createWorkers, startWorkers } from "./workers.ts";

/** How long engines get to end after SIGTERM when the daemon stops, milliseconds. */
const ENGINE_GRACE_MS = 5_000;

/** The composition root: a list of parts that start in order and stop in the opposite one. */
export class Daemon {
  readonly stopped: Promise<void>;
  readonly #resolveStopped: () => void;
  readonly #started = Promise.withResolvers<void>();
  readonly #current: Current;
  readonly #keys: Resources["keys"];
  readonly #log: DaemonLog["log"];
  readonly #setLogLevel: DaemonLog["setLevel"];
  readonly #components: Components;
  readonly #listeners: Listeners;
  readonly #monitor: Monitor;
  readonly #tasks: Tasks;
  readonly #deferred: Deferred;
  readonly #workers: Workers;
  readonly #pipelines: Pipelines;
  readonly #membership: Membership | null;
  readonly #replicas: Replicas;
  readonly #pools: Pools;
  readonly #parts: readonly Part[];
  readonly #reloader: Reloader;
  #state: DaemonStatus["state"] = "running";
  /** Drained, until an operator changes it. */
  #isDrained = false;

  /** Resolves once requests are answered. Rejects with the reason, and leaves nothing behind, when that cannot be. */
  static async start(options: ResourceOptions): Promise<Daemon> {
    const resources = await openResources(options, (tenant) => daemon.#deferred.endAllOf(tenant));
    const { current, lock, log } = resources;
    logFatalErrors(log);
    let daemon: Daemon;
    try {
      daemon = new Daemon(resources);
      await startParts(daemon.#parts, () => daemon.#state === "stopping");
      daemon.#started.resolve();
    } catch (error) {
      await lock.release();
      throw error;
    }
    const { models, notices } = current.config;
    log.log.info({ url: daemon.url, pid: process.pid, version, models: models.length }, "ready");
    for (const notice of notices) log.log.warn({ ...notice }, "configuration");
    return daemon;
  }

  private constructor(resources: Resources) {
    const { current, stores, log, metering, keys, tracing } = resources;
    const tracer = tracing?.tracer ?? null;
    let hadKeys = hasStoredKeys(current.config.paths);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.stopped = promise;
    this.#resolveStopped = resolve;
    this.#current = current;
    this.#keys = keys;
    this.#log = log.log;
    this.#setLogLevel = log.setLevel;
    this.#components = createComponents({ current, stores, log, metering, keys, tracer, reload: () => this.reload() });
    this.#reloader = new Reloader({
      current,
      clock: systemClock,
      log: log.log,
      apply: (config) => this.#apply(config),
    });
    const { inference, directory, modelStore, weights, scheduler, remotes, fleet } = this.#components;
    const { registry, library, hub, presets } = createOffer(current, this.#components, stores, () => this.reload());
    this.#replicas = createReplicas(this.#components, log);
    this.#pools = createPools(current, this.#components, stores, log);
    const authorizer = new Authorizer(() => keys.keys, metering.keyLimits);
    const control = createControl({
      current,
      components: this.#components,
      problems: () => [...stores.records.problems, ...keys.problems, ...this.#pipelines.problems],
      metering,
      taskQueue: () => this.#tasks.queue,
      presets,
      listeners: () => this.#listeners,
      membership: () => this.#membership,
      state: () => this.#state,
      reloader: () => this.#reloader,
      stop: (options) => this.stop(options),
    });
    const { monitor, observer } = createMonitor({
      current,
      components: this.#components,
      stores,
      log,
      tasks: () => this.#tasks,
      status: () => control.status(),
    });
    this.#monitor = monitor;
    const conversations = createConversations(current, this.#components, stores);
    const counted = countingTasks(metering.tasks, observer);
    this.#tasks = createTasks(current, this.#components, stores, authorizer, log, tracer, counted, conversations);
    this.#workers = createWorkers(this.#components, stores, log);
    const parts = { tasks: this.#tasks, conversations, authorizer, log };
    this.#deferred = createDeferred(current, this.#components, stores, parts);
    const { files, responses, batches } = this.#deferred;
    this.#membership = createMembership(current, this.#components, stores, log, {
      grpc: () => this.#listeners.grpc,
      onDrained: (isDrained) => {
        if (isDrained === this.#isDrained) return;
        this.#isDrained = isDrained;
        this.#tasks.pause(isDrained);
        this.#configure(this.#current.config);
      },
    });
    this.#pipelines = createPipelines(current, this.#components, conversations, log);
    this.#listeners = new Listeners({
      inference,
      pipelines: this.#pipelines,
      tasks: this.#tasks,
      conversations,
      directory,
      registry,
      library,
      isOnHub: (repo, file) => hub.has(repo, file),
      control,
      monitor,
      pulls: this.#components.pulls,
      files,
      responses,
      batches,
      workers: this.#workers,
      keys,
      audit: auditing(new AuditTrail(stores.records), log.part("audit")),
      authorizer,
      settings: () => current.config,
      progress: (requestId) => scheduler.progress(requestId),
      clock: systemClock,
      weights: (model) => weights.header(model),
      voices: async (model) => {
        const engine = await current.engines.choose(model);
        return (await engine.voices?.(model, await resolveWeights(model.source, modelStore))) ?? [];
      },
      slots: engineSlots(() => fleet.snapshots()),
      servers: registeredServers(remotes),
      replicas: {
        replicas: this.#replicas,
        objects: createObjects(current, stores),
        self: () => ({
          replicaId: remotes.nodeId,
          endpoint: this.#listeners.grpc ?? this.#listeners.url ?? "",
          url: this.#listeners.url,
        }),
      },
      version,
      info: (endpoints) => remotes.info(current.config, endpoints, scheduler.snapshot(), fleet.snapshots()),
      shelf: new WeightsServer(() => current.config, modelStore),
      log: log.part("gateway"),
      tracer,
      refused: metering.refused,
    });
    this.#parts = this.#listParts(resources);
    this.#followFleet();
    keys.changed.add(() => {
      this.#configure(this.#current.config);
      // With the first key, or without the last one, other addresses hold: `status` says that a restart brings them.
      const hasKeys = hasStoredKeys(current.config.paths);
      if (hasKeys !== hadKeys) void this.reload().catch(() => {});
      hadKeys = hasKeys;
    });
  }

  /** Base URL for OpenAI clients, without `/v1`; null if HTTP is disabled. */
  get url(): string | null {
    return this.#listeners.url;
  }

  /** Begins to stop: running requests finish within the drain time, with `now` or at a second call they do not. */
  stop(options: { readonly now: boolean }): void {
    if (this.#state === "stopping") {
      this.#listeners.abort();
      this.#components.fleet.hurry();
      return;
    }
    this.#state = "stopping";
    this.#log.info({ now: options.now }, "stopping");
    const failed = (error: unknown): void =>
      this.#log.error({ err: error }, "a part of the daemon could not be stopped");
    // Requests come in, and such an order, before all parts have started.
    void this.#started.promise
      .then(() => stopParts(this.#parts, options.now))
      .catch(failed)
      .finally(this.#resolveStopped);
  }

  /**
   * Reads the configuration again and restarts what it changes. Rejects with `config_invalid` and changes nothing when
   * it is wrong.
   */
  reload(): Promise<ReloadReport> {
    return this.#reloader.reload();
  }

  #listParts({ lock, log, metering, keys, tracing, stores: { records } }: Resources): readonly Part[] {
    const { fleet, scheduler, remotes, memory, weights, slotCache } = this.#components;
    return [
      { name: "lock", stop: () => lock.release() },
      { name: "log", stop: () => this.#closeLog(log) },
      { name: "store", stop: () => records.close() },
      lasting("expired records", () => sweeping(records, systemClock, log.part("store"))),
      lasting("API keys of the store", () =>
        keys.watch((error) => this.#log.error({ err: error }, "the API keys could not be read")),
      ),
      lasting("usage in the store", () => metering.watch(records)),
      { name: "monitor", stop: () => this.#monitor.close() },
      { name: "traces", stop: () => tracing?.close() },
      { name: "metering", stop: () => metering[Symbol.asyncDispose]() },
      // Their ends are stored.
      { name: "running tasks", stop: () => this.#tasks.settled() },
      // Engines of `preload` start when nothing can refuse the start any more.
      {
        name: "models",
        start: async () => {
          await this.#current.fitDevices();
          this.#configure(this.#current.config, { preload: false });
        },
      },
      { name: "remotes", stop: () => remotes.close() },
      {
        name: "listeners",
        start: () => this.#listeners.open(this.#current.config),
        stop: () => this.#listeners.close(),
      },
      { name: "replicas", stop: () => this.#replicas.close() },
      { name: "workers on demand", stop: () => this.#pools.close() },
      { name: "fleet", stop: () => fleet.close(ENGINE_GRACE_MS) },
      {
        name: "requests",
        start: async () => {
          memory.take(this.#current.config);
          void weights.look();
          void slotCache.keepOnly(this.#current.config.models);
          this.#configure(this.#current.config);
          await remotes.configure(this.#current.config);
          this.#pools.configure(this.#current.config.workerPools);
          await this.#pipelines.configure(this.#current.config.pipelines);
        },
        // Waiters are refused at once; what runs may finish, unless there is a hurry.
        stop: async (now) => {
          const drained = scheduler.close(now ? 0 : this.#current.config.scheduler.drainTimeoutMs);
          if (now) this.#listeners.abort();
          await drained;
        },
      },
      { name: "cluster", start: () => this.#membership?.start(), stop: () => this.#membership?.close() },
      { name: "workers", start: () => startWorkers(this.#workers), stop: () => this.#workers.close() },
      { name: "pipelines", stop: () => this.#pipelines.close() },
      { name: "tasks", start: () => void this.#tasks.start(), stop: () => this.#tasks.close() },
      lasting("memory given back", () => tidyWhenQuiet({ clock: systemClock, work: () => scheduler.snapshot() })),
      { name: "pulls", stop: () => this.#components.pulls.close() },
      { name: "weights", stop: () => weights[Symbol.dispose]() },
      { name: "memory", stop: () => memory.close() },
      lasting("configuration watch", () => this.#reloader.watch()),
    ];
  }

  async #closeLog(log: DaemonLog): Promise<void> {
    this.#log.info({}, "stopped");
    await log.flush();
  }

  #followFleet(): void {
    const { fleetEvents, estimated, memory } = this.#components;
    fleetEvents.add(({ snapshot }) => {
      // Its weights have come since the configuration was read.
      if (snapshot.state === "starting" && !memory.knows(snapshot.model)) memory.take(this.#current.config);
      if (snapshot.state === "absent") this.#forgetStranger(snapshot);
    });
    estimated.add(() => {
      if (this.#state === "running") this.#configure(this.#current.config);
    });
  }

  /** What no model of the configuration can use again is listed no longer. */
  #forgetStranger({ id, model }: InstanceSnapshot): void {
    if (!this.#current.config.models.some(({ name }) => name === model)) this.#components.fleet.forget(id);
  }

  #configure(config: Config, { preload } = { preload: true }): void {
    const { directory, scheduler, memory } = this.#components;
    directory.replace(config, Date.now());
    const { models } = this.#current;
    scheduler.configure({
      models: preload ? models : models.map((model) => ({ ...model, preload: false })),
      devices: this.#current.hardware.devices,
      settings: {
        ...config.scheduler,
        tenantWeights: weightsOf(this.#keys.keys),
        isDrained: this.#isDrained,
      },
      memoryBytes: memory.needs,
      cacheTokens: memory.cacheTokens,
      memoryPending: memory.pending,
    });
  }

  #apply(config: Config): void {
    const { memory, weights, slotCache, fleet, remotes } = this.#components;
    this.#setLogLevel(config.logLevel);
    memory.take(config);
    void weights.look();
    void slotCache.keepOnly(config.models);
    // A command that found no daemon, while this one started, wrote them to the store itself.
    this.#keys.load().catch((error: unknown) => this.#log.error({ err: error }, "the API keys could not be read"));
    fleet.retune(fleetSettings(config));
    this.#configure(config);
    void remotes.configure(config);
    this.#pools.configure(config.workerPools);
    void this.#pipelines.configure(config.pipelines);
    for (const snapshot of fleet.snapshots()) this.#forgetStranger(snapshot);
  }
}

/** What is appended to the trail is not waited for. */
const auditing = (trail: AuditTrail, log: Log): AuditPort => ({
  append: (entry) =>
    void trail
      .append(entry)
      .catch((error) => log.error({ err: error, ...entry }, "an audit record could not be written")),
  list: (query) => trail.list(query),
});

const weightsOf = (keys: readonly ApiKey[]): ReadonlyMap<string, number> =>
  new Map(keys.flatMap(({ name, weight }) => (weight === undefined ? [] : [[name, weight] as const])));
