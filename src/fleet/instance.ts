import { writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { toAssistantError } from "../core/errors.ts";
import type { StartOrder, StopCause } from "../core/fleet.ts";
import type { Death, InstanceSnapshot } from "../core/instance.ts";
import { Mailbox } from "../core/mailbox.ts";
import { deathByExit, deathByTimeout, deathByUs, notPrepared } from "./death.ts";
import { tailOf } from "./engine-log.ts";
import { type EngineProcess, type Exit, spawnEngine } from "./engine-process.ts";
import {
  blankSnapshot,
  cancelTimers,
  filesOf,
  type InstanceFiles,
  type Life,
  loadFacts,
  type Message,
  type News,
  newLife,
  type Order,
  type PreparedLaunch,
  slotHolder,
  threadsText,
  watchedEngine,
} from "./life.ts";
import type { LoopbackPorts } from "./loopback-ports.ts";
import { PortWatch } from "./port-listener.ts";
import type { FleetOptions, FleetSettings } from "./ports.ts";
import { prepareStart } from "./prepare.ts";
import { becomeReady, PortTaken, sleep } from "./readiness.ts";
import { decideRestart, restartLimits } from "./restart-policy.ts";
import type { RunRecord } from "./run-record.ts";
import type { Successor } from "./slot-cache.ts";
import { nextState, type Trigger } from "./transitions.ts";
import { examine, watchEngine } from "./watch.ts";

const EXIT_NEWS_MS = 500;

/** One instance: the loop in `run` owns all of its state; others post to it and read snapshots. */
export class Instance {
  readonly id: string;
  readonly #options: FleetOptions;
  readonly #settings: FleetSettings;
  readonly #record: RunRecord;
  readonly #ports: LoopbackPorts;
  readonly #files: InstanceFiles;
  readonly #mailbox = new Mailbox<Message>();
  #snapshot: InstanceSnapshot;
  #life: Life | null = null;
  #failures = 0;
  /** Start again as soon as the current stop is complete, for an operator's restart. */
  #startAgain = false;
  #closing = false;
  #whenGone: (() => void)[] = [];

  constructor(
    first: StartOrder,
    options: FleetOptions,
    settings: FleetSettings,
    record: RunRecord,
    ports: LoopbackPorts,
  ) {
    this.#ports = ports;
    this.id = first.instanceId;
    this.#options = options;
    this.#settings = settings;
    this.#record = record;
    this.#files = filesOf(first.instanceId, options);
    this.#snapshot = blankSnapshot(first, this.#files);
    void this.#run();
  }

  get snapshot(): InstanceSnapshot {
    return this.#snapshot;
  }

  /** Where its conversations are saved, and until when it can take over others; null: nowhere. */
  get slotHolder(): Omit<Successor, "took"> | null {
    return this.#life === null ? null : slotHolder(this.#life, this.#settings.slotsMs);
  }

  post(order: Order): void {
    if (!this.#mailbox.post(order) && order.type === "close") order.done();
  }

  /** At once: the request for which they are lent follows. */
  lend(threads: number): void {
    if (this.#life?.process) writeFileSync(this.#files.threadsFile, threadsText(threads), { flag: "r+" });
  }

  async #run(): Promise<void> {
    for (let message = await this.#mailbox.next(); message; message = await this.#mailbox.next()) {
      try {
        await this.#handle(message);
      } catch (error) {
        this.#options.log.error(
          { instance: this.id, message: message.type, err: error },
          "an instance's owner loop met an internal fault",
        );
      }
    }
  }

  async #handle(message: Message): Promise<void> {
    switch (message.type) {
      case "start":
        return this.#start(message.order, message.byOperator);
      case "drain":
      case "resume":
        return void this.#step(message.type, {});
      case "stop":
        // A stop ordered after a restart is meant to be final.
        this.#startAgain = false;
        return this.#stop(message.cause, message.graceMs ?? this.#settings.stopGraceMs);
      case "restart":
        return this.#restart();
      case "suspect":
        return this.#suspect();
      case "hurry":
        return this.#life?.process?.kill("SIGKILL");
      case "close":
        this.#closing = true;
        this.#startAgain = false;
        this.#life?.saving?.abort();
        this.#whenGone.push(message.done);
        this.#stop("stopped", message.graceMs);
        return this.#tellGone();
      case "news":
        if (message.life === this.#life) return this.#hear(message.life, message.news);
        return message.news.type === "prepared" ? this.#giveBackPort(message.news.launch) : undefined;
    }
  }

  #start(order: StartOrder, byOperator: boolean): void {
    const { state, retryAt } = this.#snapshot;
    if (this.#closing || nextState(state, "start") === null) return;
    if (!byOperator && retryAt !== null && this.#now < retryAt) return;
    const lingering = this.#life?.process ?? null;
    const life = newLife(order, lingering);
    this.#life = life;
    this.#later(life, this.#settings.startTimeoutMs, { type: "start-timeout" });
    const { attempts } = this.#snapshot;
    this.#step("start", {
      ...loadFacts(order),
      pid: null,
      startedAt: this.#now,
      readyAt: null,
      attempts: attempts + 1,
      retryAt: null,
      memoryBytes: null,
      restoredConversations: [],
      savedConversations: [],
    });
    if (lingering) this.#follow(life, lingering);
    prepareStart(order, this.#files, this.#settings.maxLogBytes, this.#options, this.#ports, lingering).then(
      (news) => this.#tell(life, news),
      (error: unknown) => this.#tell(life, { type: "not-prepared", error: toAssistantError(error) }),
    );
  }

  async #hear(life: Life, news: News): Promise<void> {
    const { state } = this.#snapshot;
    const starting = state === "starting";
    switch (news.type) {
      case "prepared":
        return starting ? this.#spawn(life, news.launch) : this.#giveBackPort(news.launch);
      case "not-prepared":
        return starting ? this.#fail(life, notPrepared(news.error, this.#now), "preparing") : undefined;
      case "up":
        return starting ? this.#up(life) : undefined;
      case "no-token":
        return starting ? this.#fail(life, deathByUs("probe-failed", this.#now, news.reason), "starting") : undefined;
      case "port-taken":
        return this.#fail(life, deathByUs("port-taken", this.#now, news.reason), starting ? "starting" : "up");
      case "start-timeout":
        return starting ? this.#timedOut(life) : undefined;
      case "wedged":
        return this.#fail(life, deathByUs("wedged", this.#now, news.evidence), "up");
      case "saved":
        return this.#saved(life, news.names);
      case "grace-over":
        if (state !== "stopping") return;
        life.process?.kill("SIGKILL");
        return this.#later(life, this.#settings.killWaitMs, { type: "unkillable" });
      case "unkillable":
        return this.#unkillable();
      case "exited":
        return this.#exited(life, news.process, news.exit);
    }
  }

  #spawn(life: Life, launch: PreparedLaunch): void {
    const { device } = life.order;
    const { engine, traits, endpoint } = launch;
    const spec = { ...launch.spec, env: { ...device.env, ...launch.spec.env } };
    let process: EngineProcess;
    try {
      process = (this.#options.spawn ?? spawnEngine)(spec, this.#files.logFile, this.#options.baseEnv);
    } catch (error) {
      this.#giveBackPort(launch);
      this.#fail(life, notPrepared(toAssistantError(error), this.#now), "preparing");
      return;
    }
    life.process = process;
    life.launch = launch;
    life.portWatch = launch.port !== null && launch.ownListener ? new PortWatch(launch.port, process.pid) : null;
    this.#update({ engine, traits, endpoint, pid: process.pid > 0 ? process.pid : null });
    this.#follow(life, process);
    void process.exited.then(() => this.#giveBackPort(launch));
    const recorded = this.#recorded(this.#record.add(this.id, process.pid, this.#files.socketPath));
    void recorded.then(() => process.exited).then(() => this.#recorded(this.#record.remove(process.pid)));
    void this.#untilReady(life, process, launch, recorded).then((news) => this.#tell(life, news));
    this.#options.log.info(
      { instance: this.id, pid: process.pid, engine, threads: life.order.threads },
      "engine started",
    );
  }

  /** The outcome of the start: a token, or the reason why there was none. */
  async #untilReady(
    life: Life,
    process: EngineProcess,
    launch: PreparedLaunch,
    recorded: Promise<void>,
  ): Promise<News> {
    const { endpoint, probe } = launch;
    const { clock } = this.#options;
    const note = (lack: string | null): void => {
      life.lack = lack;
    };
    const starting = { endpoint, kind: life.order.model.kind, portWatch: life.portWatch, note };
    try {
      await becomeReady(probe, starting, clock, life.over.signal, this.#settings.lookTimeoutMs);
      // Before it is reported ready: restored conversations must not meet requests, and running processes must be on
      // record.
      await this.#restoreSlots(life);
      await recorded;
      return { type: "up" };
    } catch (error) {
      // If the process has just died, that broke the probe; its exit is more informative, and follows within moments.
      await Promise.race([process.exited, sleep(clock, EXIT_NEWS_MS, life.over.signal).catch(() => {})]);
      return error instanceof PortTaken
        ? { type: "port-taken", reason: error.message }
        : { type: "no-token", reason: toAssistantError(error).message };
    }
  }

  #up(life: Life): void {
    cancelTimers(life);
    life.readySince = this.#options.clock.monotonic();
    this.#step("up", { readyAt: this.#now, attempts: 0, restoredConversations: life.restored });
    const engine = watchedEngine(life, this.#files);
    if (!engine) return;
    void watchEngine(engine, this.#options.clock, this.#settings, life.over.signal, {
      seen: (found) => {
        if (this.#life === life && !life.over.signal.aborted) this.#update(found);
      },
      wedged: (evidence) => this.#tell(life, { type: "wedged", evidence }),
      portTaken: () => this.#tell(life, { type: "port-taken", reason: new PortTaken(engine.endpoint).message }),
    });
  }

  #suspect(): void {
    const life = this.#life;
    const engine = life?.readySince ? watchedEngine(life, this.#files) : null;
    if (!life || !engine) return;
    void examine(engine, this.#settings, life.over.signal).then((evidence) => {
      if (evidence !== null) this.#tell(life, { type: "wedged", evidence });
    });
  }

  #stop(cause: StopCause, graceMs: number): void {
    const life = this.#life;
    if (this.#snapshot.state === "failed") this.#stopFailed();
    else if (life) this.#stopLiving(life, cause, graceMs);
  }

  #stopLiving(life: Life, cause: StopCause, graceMs: number): void {
    if (nextState(this.#snapshot.state, "stop") === null) return;
    life.stopCause = cause;
    cancelTimers(life);
    life.over.abort(new Error("the instance is being stopped"));
    this.#step("stop", { retryAt: null });
    // For a program that needs longer, as set in its model's file.
    life.graceMs = Math.max(graceMs, life.launch?.spec.stop?.graceMs ?? 0);
    if (!life.process) this.#gone(life);
    else if (!this.#saveSlots(life, cause)) this.#terminate(life);
  }

  #terminate(life: Life): void {
    life.process?.kill(life.launch?.spec.stop?.signal ?? "SIGTERM");
    this.#later(life, life.graceMs, { type: "grace-over" });
  }

  /** Starts saving the conversations in the slots. The stop waits for it, but not long. */
  #saveSlots(life: Life, cause: StopCause): boolean {
    const { slotCache, isCurrent } = this.#options;
    const comesBack =
      cause === "idle" || cause === "evicted" || (cause === "reload" && (isCurrent?.(life.order.model) ?? false));
    const { launch } = life;
    if (!slotCache || !launch?.slotPlace || life.readySince === null || !comesBack || this.#closing) return false;
    const saving = new AbortController();
    life.saving = saving;
    const signal = AbortSignal.any([saving.signal, AbortSignal.timeout(this.#settings.slotsMs)]);
    void slotCache
      .save(launch.slotPlace, launch.endpoint, signal)
      .then((names) => this.#tell(life, { type: "saved", names }));
    return true;
  }

  #saved(life: Life, names: readonly string[]): void {
    life.saving = null;
    this.#update({ savedConversations: names });
    if (this.#snapshot.state === "stopping") this.#terminate(life);
  }

  async #restoreSlots(life: Life): Promise<void> {
    const { slotCache } = this.#options;
    const { launch } = life;
    if (!slotCache || !launch?.slotPlace) return;
    const signal = AbortSignal.any([life.over.signal, AbortSignal.timeout(this.#settings.slotsMs)]);
    life.restored = await slotCache.restore(launch.slotPlace, launch.endpoint, signal);
  }

  #stopFailed(): void {
    const life = this.#life;
    const lingers = life?.process ?? null;
    this.#step(lingers ? "stop-lingering" : "stop", { retryAt: null });
    if (life && lingers) this.#later(life, this.#settings.killWaitMs, { type: "unkillable" });
    this.#tellGone();
  }

  #restart(): void {
    const { state } = this.#snapshot;
    const order = this.#life?.order;
    if (!order || this.#closing) return;
    if (state === "absent" || state === "failed") {
      this.#start(order, true);
    } else {
      this.#startAgain = true;
      this.#stop("stopped", this.#settings.stopGraceMs);
    }
  }

  #giveBackPort({ port }: PreparedLaunch): void {
    if (port !== null) this.#ports.giveBack(port);
  }

  #follow(life: Life, process: EngineProcess): void {
    void process.exited.then((exit) => this.#tell(life, { type: "exited", process, exit }));
  }

  async #exited(life: Life, process: EngineProcess, exit: Exit): Promise<void> {
    if (process !== life.process) return;
    life.process = null;
    // Left over from an earlier start only: this start continues.
    if (life.launch === null && this.#snapshot.state === "starting") return;
    cancelTimers(life);
    for (const file of [this.#files.socketPath, this.#files.threadsFile])
      await rm(file, { force: true }).catch(() => {});
    this.#update({ pid: null, endpoint: null, memoryBytes: null, decodingTokensPerSecond: 0 });
    const { state } = this.#snapshot;
    if (state === "stopping") return this.#gone(life);
    if (state === "failed") return;
    const log = await tailOf(this.#files.logFile, 60, life.launch?.logStart).catch(() => "");
    const phase = state === "starting" ? "starting" : "up";
    this.#fail(life, deathByExit(exit, phase, log, this.#now), phase);
  }

  async #timedOut(life: Life): Promise<void> {
    const lastLine = await tailOf(this.#files.logFile, 1, life.launch?.logStart).catch(() => "");
    const death = deathByTimeout(this.#settings.startTimeoutMs, this.#now, life.lack, lastLine);
    this.#fail(life, death, "starting");
  }

  #fail(life: Life, death: Death, phase: "preparing" | "starting" | "up"): void {
    if (nextState(this.#snapshot.state, "lost") === null) return;
    const { clock, random, log } = this.#options;
    const upMs = life.readySince === null ? 0 : clock.monotonic() - life.readySince;
    const decision = decideRestart({ cause: death.cause, phase, upMs, failuresBefore: this.#failures }, random);
    this.#failures = decision.failures;
    cancelTimers(life);
    life.over.abort(new Error(death.message));
    life.process?.kill("SIGKILL");
    log.warn(
      {
        instance: this.id,
        cause: death.cause,
        exitCode: death.exitCode,
        signal: death.signal,
        retryInMs: decision.delayMs,
      },
      `${death.message} ${decision.sentence}`,
    );
    this.#step("lost", { lastDeath: death, retryAt: death.at + decision.delayMs, readyAt: null });
  }

  #unkillable(): void {
    if (this.#snapshot.state !== "stopping") return;
    const { pid } = this.#snapshot;
    const message = `Process ${pid} did not exit after SIGKILL: it is stuck in a system call, most likely in a driver, and may still hold its memory.`;
    this.#options.log.error({ instance: this.id, pid }, message);
    const lastDeath: Death = { at: this.#now, cause: "stopped", message, exitCode: null, signal: null };
    this.#startAgain = false;
    this.#step("unkillable", { lastDeath, retryAt: this.#now + restartLimits.longestDelayMs });
    this.#tellGone(true);
  }

  #gone(life: Life): void {
    // An instance that had failed before it was stopped keeps its own reason.
    const lastDeath = life.stopCause === null ? this.#snapshot.lastDeath : deathByUs(life.stopCause, this.#now);
    this.#step("gone", { lastDeath, readyAt: null, startedAt: null, attempts: 0 });
    this.#tellGone();
    if (!this.#startAgain) return;
    this.#startAgain = false;
    this.#start(life.order, true);
  }

  /** Notifies those waiting for the end of this instance, then ends the loop. */
  #tellGone(whatever = false): void {
    if (!this.#closing || (!whatever && this.#snapshot.state !== "absent")) return;
    this.#mailbox.close();
    for (const done of this.#whenGone.splice(0)) done();
  }

  get #now(): number {
    return this.#options.clock.now();
  }

  #later(life: Life, delayMs: number, news: News): void {
    life.timers.push(this.#options.clock.after(delayMs, () => this.#tell(life, news)));
  }

  #tell(life: Life, news: News): void {
    this.#mailbox.post({ type: "news", life, news });
  }

  /** Resolves when it is done or has failed: the engine runs on either way. */
  #recorded(write: Promise<void>): Promise<void> {
    return write.catch((error: unknown) =>
      this.#options.log.warn({ instance: this.id, err: error }, "the record of running engines could not be written"),
    );
  }

  #update(changes: Partial<InstanceSnapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...changes };
  }

  #step(trigger: Trigger, changes: Partial<InstanceSnapshot>): void {
    const from = this.#snapshot.state;
    const state = nextState(from, trigger);
    if (state === null) return;
    this.#update({ ...changes, state });
    this.#options.onEvent({ type: "transition", from, snapshot: this.#snapshot });
  }
}
