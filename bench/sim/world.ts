import type { SchedulerSettings } from "../../src/core/config.ts";
import type { StartOrder } from "../../src/core/fleet.ts";
import type { InstanceState } from "../../src/core/instance.ts";
import { decide } from "../../src/scheduler/decide.ts";
import type { Effect, SchedulerEvent } from "../../src/scheduler/events.ts";
import { createState, nextDueAt } from "../../src/scheduler/state.ts";
import { Agenda } from "./agenda.ts";
import { type EngineNews, type EngineProfile, SimEngine } from "./engine.ts";
import { type SimRequest, type SimSource, sourceOf } from "./requests.ts";
import { gpu, modelSpec, settingsOf, snapshot } from "./specs.ts";

/** What an instance of the simulated fleet does with its requests. */
export interface Engine<Request extends SimRequest> {
  readonly busyMs: number;
  /** When `advance` has something to say; null while idle. */
  readonly nextAt: number | null;
  admit(request: Request, now: number): void;
  advance(now: number): EngineNews;
}

export interface SimFleet {
  readonly models: readonly string[];
  /** GPUs; each model may have a replica on each. */
  readonly devices: number;
  /** Instances that fit at once. */
  readonly maxInstances: number;
  readonly profile: EngineProfile;
  readonly settings: Partial<SchedulerSettings>;
  readonly preload: boolean;
}

/** What became of one request. Milliseconds from its arrival; null where it did not come to that. */
export interface SimResult {
  readonly request: SimRequest;
  /** The instance that served it. */
  instanceId: string | null;
  /** Time until it had a slot. */
  queuedMs: number;
  ttftMs: number | null;
  totalMs: number | null;
  cachedTokens: number;
}

export interface SimRun {
  readonly results: readonly SimResult[];
  /** From the first arrival to the last end, milliseconds. */
  readonly spanMs: number;
  readonly busyShare: number;
  readonly starts: number;
  readonly decisions: number;
  readonly decisionMs: number;
}

const EPOCH = 1_000_000;

/** Runs the scheduler's own `decide` over a simulated clock and fleet until every request has ended. */
export function simulate(requests: readonly SimRequest[], fleet: SimFleet): SimRun {
  return simulateSource(sourceOf(requests), fleet, () => new SimEngine(fleet.profile));
}

/** The same with requests that may depend on earlier answers, and engines of another kind. */
export function simulateSource<Request extends SimRequest>(
  source: SimSource<Request>,
  fleet: SimFleet,
  newEngine: () => Engine<Request>,
): SimRun {
  return new Simulation(source, fleet, newEngine).run();
}

type Happening<Request extends SimRequest> =
  | { readonly type: "engine"; readonly id: string; readonly engine: Engine<Request> }
  | { readonly type: "up"; readonly id: string }
  | { readonly type: "gone"; readonly id: string };

class Simulation<Request extends SimRequest> {
  readonly #fleet: SimFleet;
  readonly #source: SimSource<Request>;
  readonly #newEngine: () => Engine<Request>;
  readonly #state = createState();
  readonly #agenda = new Agenda<Happening<Request>>();
  readonly #engines = new Map<string, Engine<Request>>();
  readonly #orders = new Map<string, StartOrder>();
  readonly #results: SimResult[] = [];
  readonly #resultOf = new Map<string, SimResult & { readonly request: Request }>();
  #now = EPOCH;
  #startedAt = EPOCH;
  #endedAt = EPOCH;
  #starts = 0;
  #decisions = 0;
  #busyMs = 0;

  constructor(source: SimSource<Request>, fleet: SimFleet, newEngine: () => Engine<Request>) {
    this.#source = source;
    this.#fleet = fleet;
    this.#newEngine = newEngine;
  }

  run(): SimRun {
    const { models, devices, maxInstances, profile, settings, preload } = this.#fleet;
    const began = process.hrtime.bigint();
    const specs = models.map((name) => modelSpec(name, profile, devices, preload));
    this.#post({
      type: "configured",
      config: {
        models: specs,
        devices: Array.from({ length: devices }, (_, index) => gpu(index)),
        settings: settingsOf(maxInstances, settings),
        memoryBytes: new Map(),
        cacheTokens: new Map(models.map((name) => [name, profile.cacheTokens])),
      },
    });
    // What is preloaded is up before the first request.
    while (preload && this.#agenda.nextAt !== null) this.#happen();
    const start = this.#now;
    this.#startedAt = start;
    for (;;) {
      const nextAt = this.#source.nextAt;
      const arrivesAt = nextAt === null ? Number.POSITIVE_INFINITY : start + nextAt;
      const happensAt = this.#agenda.nextAt ?? Number.POSITIVE_INFINITY;
      const dueAt = nextDueAt(this.#state) ?? Number.POSITIVE_INFINITY;
      if (nextAt === null && this.#resultOf.size === 0) break;
      const at = Math.min(arrivesAt, happensAt, dueAt);
      if (at === Number.POSITIVE_INFINITY) throw new Error(`${this.#resultOf.size} requests wait for nothing`);
      this.#now = Math.max(this.#now, at);
      if (happensAt <= at) this.#happen();
      else if (dueAt <= at) this.#post({ type: "tick" });
      else this.#arrive(this.#source.take());
    }
    for (const engine of this.#engines.values()) this.#busyMs += engine.busyMs;
    const spanMs = Math.max(1, this.#endedAt - start);
    return {
      results: this.#results,
      spanMs,
      busyShare: this.#busyMs / spanMs / Math.min(maxInstances, devices * models.length),
      starts: this.#starts,
      decisions: this.#decisions,
      decisionMs: Number(process.hrtime.bigint() - began) / 1e6,
    };
  }

  #arrive(request: Request): void {
    const result: SimResult & { readonly request: Request } = {
      request,
      instanceId: null,
      queuedMs: 0,
      ttftMs: null,
      totalMs: null,
      cachedTokens: 0,
    };
    this.#results.push(result);
    this.#resultOf.set(request.id, result);
    const { id, model, tenant, priority, blocks, deadlineMs } = request;
    const promptTokens = request.estimatedTokens ?? request.promptTokens;
    const maxTokens = request.maxTokens ?? -1;
    const deadlineAt = deadlineMs === undefined ? null : this.#now + deadlineMs;
    this.#post({
      type: "arrived",
      facts: { id, model, tenant, priority, promptTokens, maxTokens, prefix: blocks, deadlineAt },
    });
  }

  #happen(): void {
    const at = this.#agenda.nextAt;
    const what = this.#agenda.take();
    if (what === null || at === null) return;
    this.#now = Math.max(this.#now, at);
    if (what.type === "up") this.#transition(what.id, "starting", "ready");
    else if (what.type === "gone") this.#transition(what.id, "stopping", "absent");
    else if (what.type === "engine") this.#advance(what.id, what.engine, at);
  }

  #advance(id: string, engine: Engine<Request>, at: number): void {
    // An appointment that was moved forward by an arrival, or an engine that has ended.
    if (engine.nextAt !== at || this.#engines.get(id) !== engine) return;
    const { first, done } = engine.advance(this.#now);
    this.#schedule(id, engine);
    for (const request of first) {
      const result = this.#resultOf.get(request.id);
      if (result !== undefined) result.ttftMs = this.#now - this.#arrivedAt(result);
      this.#post({ type: "first-token", requestId: request.id });
    }
    for (const { request, promptTokens, cachedTokens, promptMs, completionMs } of done) {
      const result = this.#resultOf.get(request.id);
      if (result !== undefined) {
        result.totalMs = this.#now - this.#arrivedAt(result);
        result.cachedTokens = cachedTokens;
      }
      this.#end(request.id);
      const outcome = {
        end: "complete",
        promptTokens,
        cachedTokens,
        completionTokens: request.outputTokens,
        promptMs,
        completionMs,
      } as const;
      this.#post({ type: "finished", requestId: request.id, outcome });
    }
  }

  #arrivedAt(result: SimResult): number {
    return this.#startedAt + result.request.at;
  }

  #end(id: string): void {
    this.#resultOf.delete(id);
    this.#endedAt = this.#now;
    this.#source.ended(id, this.#now - this.#startedAt);
  }

  #schedule(id: string, engine: Engine<Request>): void {
    const at = engine.nextAt;
    if (at !== null) this.#agenda.add(at, { type: "engine", id, engine });
  }

  #post(event: SchedulerEvent): void {
    this.#decisions += 1;
    for (const effect of decide(this.#state, event, this.#now)) this.#carryOut(effect);
  }

  #carryOut(effect: Effect): void {
    switch (effect.type) {
      case "dispatch": {
        const engine = this.#engines.get(effect.targetId);
        const result = this.#resultOf.get(effect.requestId);
        if (engine === undefined || result === undefined)
          throw new Error(`dispatch of ${effect.requestId} to ${effect.targetId}, which is not there`);
        result.queuedMs = effect.queuedMs;
        result.instanceId = effect.targetId;
        engine.admit(result.request, this.#now);
        this.#schedule(effect.targetId, engine);
        break;
      }
      case "start":
        this.#starts += 1;
        this.#orders.set(effect.order.instanceId, effect.order);
        this.#transition(effect.order.instanceId, "absent", "starting");
        this.#agenda.add(this.#now + this.#fleet.profile.loadMs, { type: "up", id: effect.order.instanceId });
        break;
      case "stop":
        this.#transition(effect.instanceId, "ready", "stopping");
        this.#agenda.add(this.#now, { type: "gone", id: effect.instanceId });
        break;
      case "reject":
      case "lost":
        this.#end(effect.requestId);
        break;
      default:
    }
  }

  #transition(id: string, from: InstanceState, to: InstanceState): void {
    const order = this.#orders.get(id);
    if (order === undefined) return;
    if (to === "ready") this.#engines.set(id, this.#newEngine());
    if (to === "absent") {
      this.#busyMs += this.#engines.get(id)?.busyMs ?? 0;
      this.#engines.delete(id);
    }
    this.#post({
      type: "instance",
      event: {
        type: "transition",
        from,
        snapshot: snapshot(id, order.model.name, order.device.id, to, this.#fleet.profile),
      },
    });
  }
}
