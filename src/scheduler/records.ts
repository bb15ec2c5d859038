import type { Device } from "../core/device.ts";
import type { AssistantError, ErrorCode } from "../core/errors.ts";
import type { RequestFacts, RequestOutcome } from "../core/request.ts";
import { Due } from "./due.ts";
import type { MemoryNeed } from "./events.ts";
import { isComing, type Life, stays, Taken } from "./life.ts";
import { ModelMeasures } from "./measures.ts";
import type { NodeTarget } from "./node.ts";
import { PrefixIndex, type SleepingConversation } from "./prefix/prefix-index.ts";
import type { Lane, Queued } from "./queue/lane.ts";
import { RequestQueue } from "./queue/queue.ts";
import { IndexedHeap } from "./structures/heap.ts";
import { TokenMeter } from "./structures/token-meter.ts";
import { Target, type Work } from "./target.ts";

/**
 * Prefill tokens per millisecond before any measurement, for a small model. Inexact, but in the right order among
 * devices.
 */
const GUESS_GPU = 4;
const GUESS_CPU = 0.2;

/** Totals over a model's instances. */
interface Supply {
  /** Instances that are ready and accept work, and their slots. */
  readonly serving: number;
  readonly slots: number;
  /** Number of instances after all pending decisions. */
  readonly future: number;
  readonly coming: readonly InstanceRecord[];
}

export class ModelRecord extends ModelMeasures {
  /** No longer configured; kept while its instances are leaving. */
  removed = false;
  /** Memory of one instance; null: unknown. `memoryPending`: an estimate is being computed. */
  memory: MemoryNeed | null = null;
  memoryPending = false;
  /** Devices it may run on now. */
  eligible: readonly DeviceRecord[] = [];
  readonly queue = new RequestQueue<RequestRecord>();
  readonly instances = new Set<InstanceRecord>();
  /** The model on other nodes, by their names. */
  readonly nodes = new Map<string, NodeTarget>();
  /** Ready instances with a free slot, in the policy's order, then least work first. */
  readonly available = new IndexedHeap<InstanceRecord>(lessWork);
  /** Which prefixes are held by instances, and by other nodes. */
  readonly prefixes = new PrefixIndex<InstanceRecord>();
  readonly nodePrefixes = new PrefixIndex<NodeTarget>();
  /** Tokens of conversations that an instance keeps, in slots and host memory; null: as many as its slots hold. */
  cacheTokens: number | null = null;
  lastArrivedAt = 0;
  /** The tenant of the last request, and until when (epoch ms) more than one tenant is expected. */
  lastTenant: string | null = null;
  othersUntil = 0;
  /** When to look for room, or to reconsider waiting requests, without an event. */
  readonly roomDue = new Due({ type: "room", model: this } as const);
  readonly serveDue = new Due({ type: "serve", model: this } as const);
  /** Armed: no start before this; `failure` is the reason. */
  readonly retry = new Due({ type: "retry", model: this } as const);
  failure: { readonly message: string; readonly code: ErrorCode; readonly waitersStay: boolean } | null = null;
  /** Result of the last search for room, and the state of the room then; no need to search again until it changes. */
  placement: { readonly epoch: number; readonly growth: boolean; readonly refusal: AssistantError | null } | null =
    null;
  /** Conversations saved by ended instances, by the fleet's names, first saved first: available to new instances. */
  readonly sleeping = new Map<string, SleepingConversation>();
  pinOverride: boolean | null = null;
  /** Overrides the configured idle time while it is loaded; undefined: not overridden. */
  idleTtlOverride: number | null | undefined;
  noticedAt = 0;
  #inFlight = 0;
  /** The queued requests that need no slot: the first ready instance gets them. */
  readonly waitingReads = new Set<RequestRecord>();
  readonly #inFlightByTenant = new Map<string, number>();
  #supply: Supply | null = null;

  get name(): string {
    return this.spec.name;
  }

  get isPinned(): boolean {
    return this.pinOverride ?? this.spec.pinned;
  }

  /** Milliseconds without a request after which an instance is stopped; null: never. */
  get idleTtlMs(): number | null {
    return this.idleTtlOverride === undefined ? this.spec.idleTtlMs : this.idleTtlOverride;
  }

  /** A model that only other nodes have is never started here. */
  get isRemoteOnly(): boolean {
    return this.spec.nodes !== undefined;
  }

  /** Added and removed as other nodes report it; no file configures it. */
  get isDiscovered(): boolean {
    return this.isRemoteOnly && this.spec.file === "";
  }

  /** Maximum number of instances. "auto": one per GPU it may use, or one on the CPU. */
  get replicas(): number {
    return this.spec.replicas === "auto" ? this.eligible.length : this.spec.replicas;
  }

  /** Number of instances to keep even if no requests wait. */
  get wantedInstances(): number {
    if (this.spec.preload) return this.replicas;
    const least = Math.min(this.spec.replicasMin ?? 0, this.replicas);
    return this.isPinned ? Math.max(1, least) : least;
  }

  /** Estimated milliseconds until all waiting requests have a slot; 0 before any measurement. */
  get drainMs(): number {
    return (this.queue.size * (this.holdMs.value ?? 0)) / Math.max(1, this.supply.slots);
  }

  get supply(): Supply {
    if (this.#supply !== null) return this.#supply;
    let [serving, slots, future] = [0, 0, 0];
    const coming: InstanceRecord[] = [];
    for (const instance of this.instances) {
      if (instance.life.phase === "ready") {
        serving += 1;
        slots += instance.slots;
      }
      if (stays(instance.life)) future += 1;
      if (isComing(instance.life)) coming.push(instance);
    }
    this.#supply = { serving, slots, future, coming };
    return this.#supply;
  }

  /** One of its instances has changed. */
  recount(): void {
    this.#supply = null;
  }

  /** Requests on its instances. */
  get inFlight(): number {
    return this.#inFlight;
  }

  inFlightOf(tenant: string): number {
    return this.#inFlightByTenant.get(tenant) ?? 0;
  }

  count(tenant: string, change: 1 | -1): void {
    this.#inFlight += change;
    // Tenants are not removed: there are as many as keys, and this is not the time to shrink a table.
    this.#inFlightByTenant.set(tenant, this.inFlightOf(tenant) + change);
  }
}

export class DeviceRecord {
  device: Device;
  /** Memory our instances may use together; null: unknown, no limit. */
  budgetBytes: number | null = null;
  /** When that was last measured; -Infinity: before an event that changed it. */
  measuredAt = Number.NEGATIVE_INFINITY;
  readonly instances = new Set<InstanceRecord>();
  /** Id of the request that uses the device exclusively. */
  holder: string | null = null;
  /** The model waiting to use it exclusively: no other work starts there until then. */
  claim: ModelRecord | null = null;
  #taken: Taken | null = null;

  constructor(device: Device) {
    this.device = device;
  }

  get id(): string {
    return this.device.id;
  }

  /** Threads are only limited on the CPU; an instance on a GPU needs next to none. */
  get isCpu(): boolean {
    return this.device.vendor === "cpu";
  }

  get taken(): Taken {
    this.#taken ??= Taken.by(this.instances);
    return this.#taken;
  }

  /** One of its instances has changed. */
  recount(): void {
    this.#taken = null;
  }

  /** None of its instances has a request. */
  get isQuiet(): boolean {
    for (const instance of this.instances) if (instance.inFlight.size > 0) return false;
    return true;
  }
}

/** Why an instance was started: one started only for waiting requests may be abandoned when they are gone. */
export type Purpose = "demand" | "preload" | "restart";

export class InstanceRecord extends Target {
  readonly model: ModelRecord;
  readonly device: DeviceRecord;
  /** Order of creation; breaks ties, so that equal histories lead to equal decisions. */
  readonly serial: number;
  readonly purpose: Purpose;
  /** Changed only by places.ts. */
  life: Life = { phase: "gone" };
  /** Memory on the device, estimated or measured, whichever is higher; 0 if unknown. */
  bytes = 0;
  /** Granted with the order. */
  threads = 1;
  /** The most it may use while others are idle, those it may use now, and whether it had work when that was decided. */
  mostThreads = 1;
  lentThreads = 1;
  wasBusy = false;
  hostCacheMib = 0;
  slots: number;
  /** Tokens of one slot. */
  contextTokens: number;
  /** Requests parked for this instance, and when to reconsider them. */
  readonly parked = new Set<RequestRecord>();
  readonly parkedDue = new Due({ type: "parked", instance: this } as const);
  /** Its position among the model's available instances, and its rank by the policy. */
  heapIndex = -1;
  rank = 0;
  /** Number of its last dispatch, counted over all. */
  lastDispatch = 0;
  startedAt = 0;
  /** When it last became ready. */
  readyAt = 0;
  /** When the last request ended; before the first one, when it became ready. */
  lastUsedAt = 0;
  served = 0;
  /** Set by an operator; null: the model's setting. */
  pinOverride: boolean | null = null;
  /** Armed after an answer that was cut off: it may have crashed unnoticed, and gets no work. */
  readonly suspect = new Due({ type: "suspect", instance: this } as const);
  readonly idle = new Due({ type: "idle", instance: this } as const);
  /** When the expected end of this phase is overdue. */
  readonly phaseDue = new Due({ type: "phase", instance: this } as const);
  readonly decodeMeter = new TokenMeter();
  readonly prefillMeter = new TokenMeter();
  /**
   * The wait for a slot does not count: a conversation that went elsewhere for that reason would be computed again
   * there, and later again here.
   */
  readonly delayMs = 0;

  constructor(id: string, serial: number, model: ModelRecord, device: DeviceRecord, purpose: Purpose) {
    super(id, model.prefixes, [model.prefillRate], device.isCpu ? GUESS_CPU : GUESS_GPU);
    this.model = model;
    this.serial = serial;
    this.device = device;
    this.purpose = purpose;
    this.slots = model.spec.load.slots;
    this.contextTokens = model.spec.load.contextTokens;
  }

  get isPinned(): boolean {
    return this.pinOverride ?? this.model.isPinned;
  }

  get hasFreeSlot(): boolean {
    return this.inFlight.size - this.reads < this.slots;
  }

  /** Has work that needs threads. */
  get isBusy(): boolean {
    return this.inFlight.size > this.reads;
  }

  get busyShare(): number {
    return (this.inFlight.size - this.reads - this.unanswered) / Math.max(1, this.slots);
  }

  /** Expected milliseconds until one of its slots is free. */
  get slotWaitMs(): number {
    return this.hasFreeSlot ? 0 : (this.model.holdMs.value ?? 0) / Math.max(1, this.slots);
  }

  get expectedTokens(): number {
    let tokens = 0;
    for (const request of this.parked) tokens += request.expectedPrefill;
    return tokens;
  }

  /** In its slots, and in the host memory it was granted. */
  get cacheTokens(): number {
    const inSlots = this.slots * this.contextTokens;
    const { cacheTokens, spec } = this.model;
    if (cacheTokens === null) return inSlots;
    const wanted = spec.load.hostCacheMib;
    return inSlots + Math.floor(Math.max(0, cacheTokens - inSlots) * (wanted > 0 ? this.hostCacheMib / wanted : 1));
  }

  override enter(work: Work): void {
    super.enter(work);
    if (!work.facts.slotless) this.model.count(work.facts.tenant, 1);
  }

  override answered(work: Work, tookMs: number): void {
    // The engine only reports its times at the end of an answer; until then this is better than a guess.
    if (work.alone && !this.isMeasured) this.learnPrefill(work.prefillTokens, tookMs);
  }

  override leave(work: Work): void {
    super.leave(work);
    if (!work.facts.slotless) this.model.count(work.facts.tenant, -1);
  }

  learnFrom(work: Work, outcome: RequestOutcome, now: number): void {
    const { model } = this;
    const { promptTokens, promptMs, completionTokens, completionMs } = outcome;
    const prefilled = work.prefilled(outcome);
    model.holdMs.learn(now - work.startedAt);
    if (promptTokens !== null && promptMs !== null) {
      this.prefillMeter.add(prefilled, promptMs, now - (completionMs ?? 0));
      // The engine's figure includes waiting for earlier prompts, which is not work on this one.
      this.learnPrefill(prefilled, work.prefillMs ? Math.min(promptMs, work.prefillMs) : promptMs);
    }
    if (completionTokens === null) return;
    if (completionMs !== null) {
      this.decodeMeter.add(completionTokens, completionMs, now);
      this.decodeRate.learn(completionTokens, completionMs);
      model.decodeRate.learn(completionTokens, completionMs);
    }
    if (outcome.end !== "complete") return;
    model.completionTokens.learn(completionTokens);
    model.workTokens.learn(prefilled + completionTokens);
  }

  /**
   * A typical request of the model is one slot's worth of work; an instance without a free slot has a load of at least
   * 1.
   */
  get load(): number {
    if (this.slots === 0) return 0;
    return Math.max(
      (this.prefillTokens + this.decodeTokens) / (this.slots * this.model.usualWork),
      (this.inFlight.size - this.reads) / this.slots,
    );
  }
}

/** It waits for its turn, or is parked for one instance although another could start it, or runs. */
export type Stage = { readonly type: "queued" } | { readonly type: "parked"; readonly on: InstanceRecord } | Work;

export const QUEUED: Stage = { type: "queued" };

/** A request from its arrival to its end. */
export class RequestRecord implements Queued<RequestRecord> {
  readonly facts: RequestFacts;
  readonly model: ModelRecord;
  readonly priority: number;
  readonly tenant: string;
  readonly arrivedAt: number;
  /** Its position in its lane, and the prompt tokens cached on no instance, as of when it began to wait. */
  turnAt = 0;
  startBy = Number.POSITIVE_INFINITY;
  expectedPrefill = 0;
  readonly deadline: Due<{ readonly type: "deadline"; readonly request: RequestRecord }> | null;
  stage: Stage = QUEUED;
  /** Has been notified of its place at least once. */
  noticed = false;
  lane: Lane<RequestRecord> | null = null;
  serial = 0;
  ageIndex = -1;
  heapIndex = -1;
  pressIndex = -1;

  constructor(facts: RequestFacts, model: ModelRecord, now: number) {
    this.facts = facts;
    this.model = model;
    this.priority = facts.priority;
    this.tenant = facts.tenant;
    this.arrivedAt = now;
    this.deadline = facts.deadlineAt === null ? null : new Due({ type: "deadline", request: this } as const);
  }
}

/** Order among instances that could take a request: the policy's, then least work; of equals, the older one. */
export function lessWork(a: InstanceRecord, b: InstanceRecord): boolean {
  if (a.rank !== b.rank) return a.rank < b.rank;
  const work = a.prefillTokens + a.decodeTokens - b.prefillTokens - b.decodeTokens;
  return work === 0 ? a.serial < b.serial : work < 0;
}
