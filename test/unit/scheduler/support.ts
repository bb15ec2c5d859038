import type { SchedulerSettings } from "../../../src/core/config.ts";
import type { Device } from "../../../src/core/device.ts";
import type { AssistantError } from "../../../src/core/errors.ts";
import type { FleetEvent, StartOrder } from "../../../src/core/fleet.ts";
import type { Death, InstanceSnapshot, InstanceState } from "../../../src/core/instance.ts";
import type { LoadSettings, ModelSpec } from "../../../src/core/model.ts";
import type { PrefixMark, RequestFacts, RequestOutcome } from "../../../src/core/request.ts";
import { decide } from "../../../src/scheduler/decide.ts";
import type {
  Effect,
  OperationTarget,
  OperatorAction,
  SchedulerConfig,
  SchedulerEvent,
} from "../../../src/scheduler/events.ts";
import type { InstancePrefixes, PrefixIndex } from "../../../src/scheduler/prefix/prefix-index.ts";
import { createState, nextDueAt, type SchedulerState } from "../../../src/scheduler/state.ts";
import { testModel, testSnapshot } from "../../support/fake-engine.ts";

/** The instance has worked on a prompt and is done with it. */
export function touch<Owner extends { readonly prefixes: InstancePrefixes }>(
  index: PrefixIndex<Owner>,
  owner: Owner,
  marks: readonly PrefixMark[],
  promptTokens: number,
  capacityTokens: number,
): void {
  index.begin(owner, marks, promptTokens, capacityTokens);
  index.rest(owner, marks.at(-1)?.hash ?? "");
}

export const GIB = 2 ** 30;

export type ModelOptions = Partial<Omit<ModelSpec, "load" | "name">> &
  Partial<Pick<LoadSettings, "slots" | "contextTokens" | "threads" | "hostCacheMib">>;

export function model(name: string, options: ModelOptions = {}): ModelSpec {
  const { slots = 2, contextTokens = 4096, threads = 1, hostCacheMib = 0, ...rest } = options;
  const file = `/etc/assistant/models/${name}.toml`;
  return testModel(
    { name, engine: "auto", replicas: "auto", file, fingerprint: `${name}-1`, ...rest },
    { slots, contextTokens, threads, hostCacheMib },
  );
}

export function gpu(index: number, memoryGib = 24): Device {
  const bytes = memoryGib * GIB;
  return {
    ...cpu(memoryGib),
    id: `cuda:${index}`,
    vendor: "nvidia",
    name: `GPU ${index}`,
    memoryTotalBytes: bytes,
    memoryFreeBytes: bytes,
  };
}

export function cpu(memoryGib = 64): Device {
  const bytes = memoryGib * GIB;
  return {
    id: "cpu",
    vendor: "cpu",
    name: "CPU",
    memoryTotalBytes: bytes,
    memoryFreeBytes: bytes,
    utilizationPercent: null,
    temperatureCelsius: null,
    env: {},
  };
}

export const defaultSettings: SchedulerSettings = {
  maxInstances: 10,
  maxLoad: 0.8,
  maxQueuedPerModel: 100,
  maxQueuedPerTenant: 100_000,
  policy: "expected-time",
  maxWaitMs: 60_000,
  maxSwapWaitMs: 30_000,
  tenantWeights: new Map(),
  threadBudget: 16,
  startTimeoutMs: 60_000,
  wedgeAfterMs: 60_000,
  drainTimeoutMs: 30_000,
};

export const outcome = (changes: Partial<RequestOutcome> = {}): RequestOutcome => ({
  end: "complete",
  promptTokens: 10,
  cachedTokens: 0,
  completionTokens: 20,
  promptMs: 10,
  completionMs: 100,
  ...changes,
});

export type RequestState =
  | { readonly status: "waiting" | "cancelled" | "done" }
  | { readonly status: "running" | "lost"; readonly instanceId: string }
  | { readonly status: "rejected"; readonly refusal: AssistantError };

interface FakeInstance {
  readonly order: StartOrder;
  state: InstanceState;
  retryAt: number | null;
  lastDeath: Death | null;
}

/** What a transition of the fleet tells besides the state. */
interface News {
  readonly death?: Pick<Death, "cause" | "message">;
  readonly retryAt?: number;
  readonly restored?: readonly string[];
  readonly saved?: readonly string[];
}

/**
 * A fleet of the imagination around the real `decide`: it follows orders as the fleet's transition table says, and the
 * test says when a start or a stop is over. Everything that happened is kept.
 */
export class World {
  now = 1_000_000;
  readonly state: SchedulerState;
  readonly requests = new Map<string, RequestState>();
  readonly fleet = new Map<string, FakeInstance>();
  readonly effects: Effect[] = [];
  /** Request ids in the order in which they got a slot. */
  readonly dispatched: string[] = [];
  /** Looks at the world after every decision. */
  check: (effects: readonly Effect[], event: SchedulerEvent) => void = () => {};
  #config: SchedulerConfig;
  #requestCount = 0;

  constructor(
    models: readonly ModelSpec[],
    options: {
      devices?: readonly Device[];
      settings?: Partial<SchedulerSettings>;
      memoryGib?: Record<string, number>;
      measures?: boolean;
    } = {},
  ) {
    this.state = createState(options.measures);
    this.#config = {
      models,
      devices: options.devices ?? [cpu()],
      settings: { ...defaultSettings, ...options.settings },
      memoryBytes: new Map(Object.entries(options.memoryGib ?? {}).map(([name, size]) => [name, size * GIB])),
    };
    this.post({ type: "configured", config: this.#config });
  }

  reload(changes: Partial<SchedulerConfig>): void {
    this.#config = { ...this.#config, ...changes };
    this.post({ type: "configured", config: this.#config });
  }

  get config(): SchedulerConfig {
    return this.#config;
  }

  post(event: SchedulerEvent): Effect[] {
    const effects = decide(this.state, event, this.now);
    this.effects.push(...effects);
    const answers: FleetEvent[] = [];
    for (const effect of effects) {
      const answer = this.#carryOut(effect);
      if (answer !== null) answers.push(answer);
    }
    this.check(effects, event);
    for (const answer of answers) effects.push(...this.post({ type: "instance", event: answer }));
    return effects;
  }

  arrive(modelName: string, facts: Partial<RequestFacts> = {}): string {
    this.#requestCount += 1;
    const id = facts.id ?? `r${this.#requestCount}`;
    this.requests.set(id, { status: "waiting" });
    this.post({
      type: "arrived",
      facts: {
        id,
        model: modelName,
        tenant: "t",
        priority: 50,
        promptTokens: 10,
        maxTokens: 20,
        prefix: [],
        deadlineAt: null,
        ...facts,
      },
    });
    return id;
  }

  cancel(id: string): void {
    if (this.requests.get(id)?.status === "waiting" || this.requests.get(id)?.status === "running")
      this.requests.set(id, { status: "cancelled" });
    this.post({ type: "cancelled", requestId: id });
  }

  finish(id: string, changes: Partial<RequestOutcome> = {}): void {
    if (this.requests.get(id)?.status === "running") this.requests.set(id, { status: "done" });
    this.post({ type: "finished", requestId: id, outcome: outcome(changes) });
  }

  operate(operation: OperatorAction, target: OperationTarget): void {
    this.post({ type: "operate", operation, target });
  }

  /** Lets time pass, with a tick at every due moment. */
  advance(ms: number): void {
    const until = this.now + ms;
    for (let due = nextDueAt(this.state); due !== null && due <= until; due = nextDueAt(this.state)) {
      this.now = Math.max(this.now, due);
      this.post({ type: "tick" });
    }
    this.now = until;
  }

  /** The start is over. */
  up(id: string): void {
    this.step(id, ["starting"], "ready");
  }

  /** The stop is over. */
  gone(id: string): void {
    this.step(id, ["stopping"], "absent", { death: { cause: "stopped", message: "was stopped" } });
  }

  /** It has taken over what another one has saved. */
  takeOver(id: string, conversations: readonly string[]): void {
    const instance = this.fleet.get(id);
    if (instance === undefined) throw new Error(`no instance ${id}`);
    this.post({ type: "instance", event: { type: "takeover", snapshot: this.#snapshot(id, instance), conversations } });
  }

  /** The process died. */
  die(id: string, message = "died by SIGKILL", retryInMs = 0): void {
    this.step(id, ["starting", "ready", "draining"], "failed", {
      death: { cause: "signal", message },
      retryAt: this.now + retryInMs,
    });
  }

  /** Starts a model by a request and ends that request, so that the instance is idle. */
  warm(modelName: string): string {
    const request = this.arrive(modelName);
    const id = this.starting()[0];
    if (id !== undefined) this.up(id);
    this.finish(request);
    const instance = this.instancesOf(modelName).find((candidate) => this.fleet.get(candidate)?.state === "ready");
    if (instance === undefined) throw new Error(`${modelName} did not become ready`);
    return instance;
  }

  status(id: string): RequestState["status"] | undefined {
    return this.requests.get(id)?.status;
  }

  instanceOf(id: string): string | null {
    const request = this.requests.get(id);
    return request !== undefined && "instanceId" in request ? request.instanceId : null;
  }

  refusalOf(id: string): AssistantError | null {
    const request = this.requests.get(id);
    return request !== undefined && "refusal" in request ? request.refusal : null;
  }

  inState(...states: InstanceState[]): string[] {
    return [...this.fleet].filter(([, instance]) => states.includes(instance.state)).map(([id]) => id);
  }

  starting = (): string[] => this.inState("starting");

  instancesOf(modelName: string): string[] {
    return [...this.fleet]
      .filter(([, instance]) => instance.order.model.name === modelName && instance.state !== "absent")
      .map(([id]) => id);
  }

  /** Effects of one kind, of the whole history. */
  all<Type extends Effect["type"]>(type: Type): Extract<Effect, { type: Type }>[] {
    return this.effects.filter((effect): effect is Extract<Effect, { type: Type }> => effect.type === type);
  }

  step(id: string, from: readonly InstanceState[], to: InstanceState, news: News = {}): void {
    const event = this.#move(id, from, to, news);
    if (event !== null) this.post({ type: "instance", event });
  }

  #move(id: string, from: readonly InstanceState[], to: InstanceState, news: News = {}): FleetEvent | null {
    const instance = this.fleet.get(id);
    if (instance === undefined || !from.includes(instance.state)) return null;
    const before = instance.state;
    instance.state = to;
    instance.retryAt = news.retryAt ?? null;
    if (news.death) instance.lastDeath = { at: this.now, exitCode: null, signal: null, ...news.death };
    const restored = news.restored === undefined ? {} : { restoredConversations: news.restored };
    const saved = news.saved === undefined ? {} : { savedConversations: news.saved };
    return { type: "transition", from: before, snapshot: { ...this.#snapshot(id, instance), ...restored, ...saved } };
  }

  #carryOut(effect: Effect): FleetEvent | null {
    switch (effect.type) {
      case "dispatch":
        if (effect.targetId.startsWith("remote:")) return null;
        this.requests.set(effect.requestId, { status: "running", instanceId: effect.targetId });
        this.dispatched.push(effect.requestId);
        return null;
      case "reject":
        this.requests.set(effect.requestId, { status: "rejected", refusal: effect.refusal });
        return null;
      case "lost":
        this.requests.set(effect.requestId, { status: "lost", instanceId: effect.instanceId });
        return null;
      case "start":
        return this.#start(effect.order);
      case "drain":
        return this.#move(effect.instanceId, ["ready"], "draining");
      case "resume":
        return this.#move(effect.instanceId, ["draining"], "ready");
      case "stop": {
        const failed = this.#move(effect.instanceId, ["failed"], "absent");
        return failed ?? this.#move(effect.instanceId, ["starting", "ready", "draining"], "stopping");
      }
      default:
        return null;
    }
  }

  #start(order: StartOrder): FleetEvent | null {
    const known = this.fleet.get(order.instanceId);
    if (known !== undefined && known.state === "failed" && known.retryAt !== null && known.retryAt > this.now)
      return null;
    if (known !== undefined && known.state !== "failed" && known.state !== "absent") return null;
    const from = known?.state ?? "absent";
    const instance: FakeInstance = { order, state: "starting", retryAt: null, lastDeath: known?.lastDeath ?? null };
    this.fleet.set(order.instanceId, instance);
    return { type: "transition", from, snapshot: this.#snapshot(order.instanceId, instance) };
  }

  #snapshot(id: string, instance: FakeInstance): InstanceSnapshot {
    const { order, state, retryAt, lastDeath } = instance;
    const { model, device, threads } = order;
    const { slots, contextTokens } = model.load;
    return testSnapshot({
      ...{ id, model: model.name, device: device.id, slots, contextTokens, threads, attempts: 1 },
      ...{ state, retryAt, lastDeath },
    });
  }
}
