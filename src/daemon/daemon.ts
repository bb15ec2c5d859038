import { join } from "node:path";
import type { DaemonStatus } from "../api/status.ts";
import { diffModels } from "../config/diff.ts";
import type { Environment } from "../config/environment.ts";
import { loadConfig } from "../config/load.ts";
import { resolvePaths } from "../config/paths.ts";
import { systemClock } from "../core/clock.ts";
import type { Config } from "../core/config.ts";
import type { Hardware } from "../core/device.ts";
import { AssistantError } from "../core/errors.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import { version } from "../core/package.ts";
import { writing } from "../core/writing.ts";
import { createEngineProbe, createEngines, type EngineSet } from "../engines/index.ts";
import { engineEnvironment } from "../fleet/environment.ts";
import { Fleet } from "../fleet/fleet.ts";
import { probeHardware } from "../fleet/hardware.ts";
import type { FleetSettings } from "../fleet/ports.ts";
import { sweepLeftovers } from "../fleet/run-record.ts";
import { SlotCache } from "../fleet/slot-cache.ts";
import type { ControlPort, ReloadReport } from "../gateway/ports.ts";
import { Handout } from "../models/handout.ts";
import { resolveWeights } from "../models/resolve.ts";
import { Scheduler } from "../scheduler/loop.ts";
import { promptFacts } from "../scheduler/prefix/fingerprint.ts";
import { type DaemonLog, openLog } from "../telemetry/log.ts";
import { Complaints } from "./complaints.ts";
import { assembleStatus } from "./control.ts";
import { Directory } from "./directory.ts";
import { Endpoints } from "./endpoints.ts";
import { tidyWhenQuiet } from "./heap.ts";
import { Listeners } from "./listeners.ts";
import { acquireLock, type DaemonLock } from "./lock.ts";
import { Memory } from "./memory.ts";
import { Metering } from "./metering.ts";
import { Remotes } from "./remotes.ts";
import { secureRunDir } from "./run-dir.ts";
import { watchConfig } from "./watch.ts";

export interface DaemonOptions {
  readonly env: Environment;
  readonly foreground: boolean;
}

/** How long engines get to end after SIGTERM when the daemon stops, milliseconds. */
const ENGINE_GRACE_MS = 5_000;
/** A live view asks every second; devices are probed no more often than this. */
const DEVICE_REFRESH_MS = 2_000;

/** A wedge is only found at a look, so that short times need frequent ones. */
const USUAL_POLL_MS = 3_000;
const SHORTEST_POLL_MS = 50;
const LOOKS_PER_WEDGE = 6;

const fleetSettings = ({ scheduler: { startTimeoutMs, wedgeAfterMs } }: Config): Partial<FleetSettings> => ({
  startTimeoutMs,
  wedgeAfterMs,
  pollMs: Math.max(SHORTEST_POLL_MS, Math.min(USUAL_POLL_MS, wedgeAfterMs / LOOKS_PER_WEDGE)),
});

/** The composition root: makes every part, connects them, and takes them down in the opposite order. */
export class Daemon {
  readonly stopped: Promise<void>;
  readonly #resolveStopped: () => void;
  readonly #env: Environment;
  readonly #clock = systemClock;
  readonly #startedAt = Date.now();
  readonly #directory = new Directory();
  readonly #endpoints = new Endpoints();
  readonly #lock: DaemonLock;
  readonly #daemonLog: DaemonLog;
  readonly #log: DaemonLog["log"];
  readonly #fleet: Fleet;
  readonly #complaints = new Complaints((instanceId) => this.#fleet.suspect(instanceId));
  readonly #scheduler: Scheduler;
  readonly #remotes: Remotes;
  readonly #memory: Memory;
  readonly #metering: Metering;
  readonly #slotCache: SlotCache;
  readonly #listeners: Listeners;
  #config: Config;
  #hardware: Hardware;
  #hardwareAt = 0;
  #opened = false;
  #engines: EngineSet;
  #watcher: Disposable | null = null;
  #tidying: Disposable | null = null;
  #reloading: Promise<ReloadReport> | null = null;
  #state: DaemonStatus["state"] = "running";

  /** Resolves once requests are answered. Rejects with the reason, and leaves nothing behind, when that cannot be. */
  static async start(options: DaemonOptions): Promise<Daemon> {
    const paths = resolvePaths(options.env);
    await writing("socket directory", paths.runDir, () => secureRunDir(paths.runDir));
    const lock = await writing("data directory", paths.dataDir, () => acquireLock(paths.dataDir));
    try {
      // Engines of a daemon that was killed would hold memory that the new ones need.
      const [leftovers, hardware] = await Promise.all([sweepLeftovers(paths.runDir), probeHardware(options.env)]);
      const config = await loadConfig({ env: options.env, hardware });
      const log = await writing("log directory", paths.logDir, () =>
        openLog({ level: config.logLevel, directory: paths.logDir, alsoTo: options.foreground ? process.stdout : null }),
      );
      for (const leftover of leftovers) log.log.warn({ ...leftover }, "ended an engine that an earlier daemon left behind");
      const metering = await Metering.open(paths.dataDir, (error) => log.log.warn({ err: error }, "the usage of keys could not be saved"));
      const daemon = new Daemon(options, lock, config, hardware, log, metering);
      await daemon.#open();
      return daemon;
    } catch (error) {
      await lock.release();
      throw error;
    }
  }

  private constructor(options: DaemonOptions, lock: DaemonLock, config: Config, hardware: Hardware, log: DaemonLog, metering: Metering) {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.stopped = promise;
    this.#resolveStopped = resolve;
    this.#env = options.env;
    this.#lock = lock;
    this.#config = config;
    this.#hardware = hardware;
    this.#daemonLog = log;
    this.#log = log.log;
    this.#metering = metering;
    this.#engines = this.#findEngines();
    const probe = createEngineProbe();
    this.#slotCache = new SlotCache({
      directory: join(config.paths.dataDir, "slots"),
      budgetBytes: () => this.#config.slotCacheBytes,
      probe,
      log: log.part("slots"),
    });
    this.#fleet = new Fleet({
      engineFor: (model) => this.#endpoints.engineFor(this.#engines, model),
      resolveWeights: (model) => resolveWeights(model.source, this.#config.paths),
      probe,
      slotCache: this.#slotCache,
      isCurrent: ({ name, fingerprint }) => this.#config.models.some((model) => model.name === name && model.fingerprint === fingerprint),
      clock: this.#clock,
      random: Math.random,
      runDir: config.paths.runDir,
      logDir: join(config.paths.logDir, "instances"),
      log: log.part("fleet"),
      settings: fleetSettings(config),
      baseEnv: engineEnvironment(options.env),
      onEvent: (event) => this.#onFleetEvent(event),
    });
    this.#memory = new Memory({
      env: options.env,
      dataDir: config.paths.dataDir,
      log: log.part("memory"),
      devices: () => this.#hardware.devices,
      instances: () => this.#fleet.snapshots(),
      engineOf: async (model) => (await this.#engines.choose(model)).id,
      onMeasured: (devices, use) => {
        this.#hardware = { ...this.#hardware, devices };
        this.#scheduler.onDevices(devices, use);
      },
      onEstimated: () => {
        if (this.#opened && this.#state === "running") this.#configure(this.#config);
      },
    });
    this.#scheduler = new Scheduler({
      fleet: this.#fleet,
      measure: () => void this.#memory.measure(),
      clock: this.#clock,
      log: log.part("scheduler"),
      describe: (instanceId) => this.#endpoints.describe(instanceId) ?? this.#remotes.describe(instanceId),
      ended: (instanceId, end, answered) => this.#complaints.ended(instanceId, end, answered),
    });
    this.#remotes = new Remotes({ runDir: config.paths.runDir, log: log.part("cluster"), directory: this.#directory, scheduler: this.#scheduler });
    this.#listeners = new Listeners({
      dispatcher: this.#scheduler,
      directory: this.#directory,
      control: this.#control(),
      settings: () => this.#config,
      fingerprint: (body, _model, scope) => promptFacts(body, scope),
      progress: (requestId) => this.#scheduler.progress(requestId),
      version,
      nodeId: this.#remotes.nodeId,
      info: () => this.#remotes.info(this.#config, this.#scheduler.snapshot(), this.#fleet.snapshots()),
      shelf: new Handout(() => this.#config),
      log: log.part("gateway"),
      logRequest: metering.counting(log.requests("gateway")),
      refused: metering.refused,
      keyLimits: metering.keyLimits,
    });
  }

  /** Where OpenAI clients connect, without `/v1`; null when HTTP is switched off. */
  get url(): string | null {
    return this.#listeners.url;
  }

  /** Begins to stop: running requests finish within the drain time, with `now` or at a second call they do not. */
  stop(options: { readonly now: boolean }): void {
    if (this.#state === "stopping") {
      this.#listeners.abort();
      this.#fleet.hurry();
      return;
    }
    this.#state = "stopping";
    this.#log.info({ now: options.now }, "stopping");
    void this.#close(options.now).finally(this.#resolveStopped);
  }

  /** Reads the configuration again and restarts what it changes. Rejects with `config_invalid` and changes nothing when it is wrong. */
  reload(): Promise<ReloadReport> {
    // Quick edits follow each other; the one in progress may have read the older file, so the next waits for it.
    const before = this.#reloading ?? Promise.resolve();
    this.#reloading = before.then(
      () => this.#reload(),
      () => this.#reload(),
    );
    return this.#reloading;
  }

  async #open(): Promise<void> {
    // Engines of `preload` start when nothing can refuse the start any more.
    this.#configure({ ...this.#config, models: this.#config.models.map((model) => ({ ...model, preload: false })) });
    try {
      await this.#listeners.open(this.#config);
    } catch (error) {
      await this.#close(true);
      throw error;
    }
    this.#opened = true;
    this.#memory.take(this.#config);
    void this.#slotCache.keepOnly(this.#config.models);
    this.#configure(this.#config);
    this.#remotes.configure(this.#config);
    this.#watch();
    this.#tidying = tidyWhenQuiet({ clock: this.#clock, work: () => this.#scheduler.snapshot() });
    this.#log.info({ url: this.url, pid: process.pid, version, models: this.#config.models.length }, "ready");
    for (const notice of this.#config.notices) this.#log.warn({ ...notice }, "configuration");
  }

  #onFleetEvent(event: FleetEvent): void {
    this.#endpoints.onFleetEvent(event);
    this.#scheduler.onFleetEvent(event);
    this.#metering.onFleetEvent(event);
    const { id, state } = event.snapshot;
    if (state === "starting") this.#complaints.forget(id);
    // Its weights have come since the configuration was read.
    if (state === "starting" && !this.#memory.knows(event.snapshot.model)) this.#memory.take(this.#config);
    if (state === "absent") this.#forgetStranger(event.snapshot);
  }

  /** What no model of the configuration can use again is listed no longer. */
  #forgetStranger({ id, model }: InstanceSnapshot): void {
    if (!this.#config.models.some(({ name }) => name === model)) this.#fleet.forget(id);
  }

  #configure(config: Config): void {
    this.#directory.replace(config, Date.now());
    this.#scheduler.configure({
      models: config.models,
      devices: this.#hardware.devices,
      settings: config.scheduler,
      memoryBytes: this.#memory.needs,
      cacheTokens: this.#memory.cacheTokens,
      memoryPending: this.#memory.pending,
    });
  }

  #findEngines(): EngineSet {
    return createEngines({
      paths: this.#config.paths,
      llamaServerPath: this.#config.llamaServerPath,
      pathVariable: this.#env["PATH"] ?? "",
      nodePath: process.execPath,
    });
  }

  #watch(): void {
    this.#watcher?.[Symbol.dispose]();
    this.#watcher = watchConfig(this.#config.paths.configFile, [this.#config.paths.modelConfigDir], this.#clock, () => void this.reload().catch(() => {}));
  }

  async #reload(): Promise<ReloadReport> {
    let next: Config;
    try {
      next = await loadConfig({ env: this.#env, hardware: this.#hardware });
    } catch (error) {
      this.#log.error({ error: String(error) }, "reload refused; the configuration stays as it was");
      throw error;
    }
    const before = this.#config;
    const diff = diffModels(before, next);
    this.#config = next;
    // A llama-server may have been built or chosen since.
    this.#engines = this.#findEngines();
    this.#daemonLog.setLevel(next.logLevel);
    this.#memory.take(next);
    void this.#slotCache.keepOnly(next.models);
    this.#fleet.retune(fleetSettings(next));
    this.#configure(next);
    this.#remotes.configure(next);
    for (const snapshot of this.#fleet.snapshots()) this.#forgetStranger(snapshot);
    if (next.paths.modelConfigDir !== before.paths.modelConfigDir) this.#watch();
    const names = (models: readonly { readonly name: string }[]): string[] => models.map((model) => model.name);
    const changed = [...names(diff.restart), ...names(diff.updated)];
    const touched = new Set([...names(diff.added), ...changed]);
    const report: ReloadReport = {
      added: names(diff.added),
      removed: names(diff.removed),
      changed,
      unchanged: names(next.models).filter((name) => !touched.has(name)),
      restartNeeded: next.restartFingerprint !== before.restartFingerprint,
      notices: next.notices,
    };
    this.#log.info({ ...report, notices: next.notices.length }, "reloaded");
    return report;
  }

  #control(): ControlPort {
    return {
      status: () => this.#status(),
      act: async (instanceId, action) => {
        if (!this.#fleet.snapshots().some((snapshot) => snapshot.id === instanceId)) {
          throw new AssistantError("instance_not_found", `There is no instance ${JSON.stringify(instanceId)}.`, {
            remedy: "`assistant ps` lists the instances.",
          });
        }
        this.#scheduler.operate(action, { instance: instanceId });
      },
      modelAct: async (name, action) => this.#scheduler.operate(action === "load" ? "start" : "stop", { model: name }),
      nodes: () => ({ nodeId: this.#remotes.nodeId, grpc: this.#listeners.grpc, nodes: this.#remotes.status() }),
      usage: () => this.#metering.usage(),
      metrics: async () => this.#metering.metrics(await this.#status()),
      reload: () => this.reload(),
      shutdown: (options) => this.stop(options),
    };
  }

  async #status(): Promise<DaemonStatus> {
    const now = Date.now();
    if (now - this.#hardwareAt > DEVICE_REFRESH_MS) {
      this.#hardwareAt = now;
      await this.#memory.measure();
    }
    const scheduler = this.#scheduler.snapshot();
    const hint = await this.#engines.hint();
    return assembleStatus({
      version,
      startedAt: this.#startedAt,
      now,
      state: this.#state,
      url: this.url,
      config: this.#config,
      logFile: join(this.#config.paths.logDir, "current.log"),
      hardware: this.#hardware,
      instances: this.#fleet.snapshots(),
      memory: this.#memory,
      scheduler,
      nodes: this.#remotes.status(),
      grpc: this.#listeners.grpc,
      remoteModels: this.#directory.remote(),
      hints: [...(hint === null ? [] : [hint]), ...this.#listeners.problems],
    });
  }

  async #close(now: boolean): Promise<void> {
    this.#watcher?.[Symbol.dispose]();
    this.#tidying?.[Symbol.dispose]();
    // Waiters are told at once; what runs may finish, unless there is a hurry.
    const drained = this.#scheduler.close(now ? 0 : this.#config.scheduler.drainTimeoutMs);
    if (now) this.#listeners.abort();
    await drained;
    await Promise.all([this.#listeners.close(), this.#fleet.close(ENGINE_GRACE_MS), this.#remotes.close()]);
    await this.#metering[Symbol.asyncDispose]();
    this.#log.info({}, "stopped");
    await this.#daemonLog.flush();
    await this.#lock.release();
  }
}
