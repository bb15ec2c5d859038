import type { Cancellation } from "../core/cancellation.ts";
import type { Clock, Timer } from "../core/clock.ts";
import type { Device } from "../core/device.ts";
import { AssistantError } from "../core/errors.ts";
import type { FleetEvent, FleetPort } from "../core/fleet.ts";
import { newRequestId } from "../core/ids.ts";
import type {
  Dispatcher,
  Lease,
  PromptFacts,
  RequestFacts,
  RequestOutcome,
  RequestProgress,
  Waiting,
} from "../core/request.ts";
import type { Upstream } from "../core/upstream.ts";
import { decide } from "./decide.ts";
import type {
  Effect,
  MemoryUse,
  OperationTarget,
  OperatorAction,
  RemoteChange,
  SchedulerConfig,
  SchedulerEvent,
} from "./events.ts";
import { TargetLease } from "./lease.ts";
import { preferred } from "./preference.ts";
import { type SchedulerSnapshot, snapshotOf } from "./snapshot.ts";
import { createState, nextDueAt, refusal, type SchedulerState } from "./state.ts";
import { progressOf } from "./waits.ts";

/** The part of a logger that is used here. */
export interface SchedulerLog {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface SchedulerPorts {
  readonly fleet: FleetPort;
  /** Monotonic: never jumps back or ahead when the machine's clock is changed. */
  readonly clock: Clock;
  readonly log: SchedulerLog;
  /** The connection to a ready instance, or to another machine (`remote:NAME`); null if there is none (any more). */
  upstreamOf(targetId: string): Upstream | null;
  /**
   * Measures the devices, and always responds with `onDevices`. Without it, the figures of the configuration are used.
   */
  measure?(): void;
  /**
   * Notified of the end of every request that released its slot; `answered`: a byte of the answer had arrived. Must not
   * throw.
   */
  ended?(instanceId: string, end: RequestOutcome["end"], answered: boolean): void;
}

/** Number of due things that one timer handles. */
const MAX_TICKS = 64;

/** Node fires a longer timer at once. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A call of `acquire` that has no lease yet. */
interface Waiter {
  readonly model: string;
  readonly cancellation: Cancellation;
  readonly onWaiting: ((wait: Waiting) => void) | undefined;
  readonly resolve: (lease: Lease) => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * The owner loop around `decide`. All events are posted to it; it decides one at a time and carries out the effects
 * before the next, all in the same tick: nothing is read now and acted on later. Events caused directly by an effect (a
 * fleet that responds synchronously) wait in the inbox.
 */
export class Scheduler implements Dispatcher {
  readonly #ports: SchedulerPorts;
  readonly #state: SchedulerState;
  /** By request id, until each is settled, lost or released. */
  readonly #calls = new Map<string, Waiter | TargetLease>();
  readonly #inbox: SchedulerEvent[] = [];
  #deciding = false;
  #closed = false;
  #timer: Timer | null = null;
  #timerAt: number | null = null;
  #whenIdle: (() => void) | null = null;

  constructor(ports: SchedulerPorts) {
    this.#ports = ports;
    this.#state = createState(ports.measure !== undefined);
  }

  /** Applies a configuration, at start and on reload. Starts what is to be preloaded. */
  configure(config: SchedulerConfig): void {
    this.#post({ type: "configured", config });
  }

  /** Every transition of the fleet, in order. */
  onFleetEvent(event: FleetEvent): void {
    this.#post({ type: "instance", event });
  }

  /** Free memory of the devices, and memory used by each instance, by id. */
  onDevices(devices: readonly Device[], use: ReadonlyMap<string, MemoryUse>): void {
    this.#post({ type: "devices", devices, use });
  }

  /** New measurements of other machines. */
  onRemotes(change: RemoteChange): void {
    this.#post({ type: "remotes", change });
  }

  /**
   * An operator's command. Throws `instance_not_found` or `model_not_found`; returns when it has been ordered, not when
   * it has been carried out.
   */
  operate(operation: OperatorAction, target: OperationTarget): void {
    if ("instance" in target && !this.#state.instances.has(target.instance)) {
      // An instance that has ended is still listed; starting it means starting its model.
      const model = target.instance.slice(0, target.instance.lastIndexOf("@"));
      if ((operation === "start" || operation === "restart") && this.#state.models.has(model)) {
        this.operate("start", { model });
        return;
      }
      throw new AssistantError("instance_not_found", `No instance is called "${target.instance}"`, {
        remedy: "See `assistant ps` for their names.",
      });
    }
    if ("model" in target && !this.#state.models.has(target.model)) {
      throw new AssistantError("model_not_found", `No configured model is called "${target.model}"`, {
        remedy: "See `assistant list` for their names.",
      });
    }
    this.#ports.log.info({ operation, ...target }, "operator");
    this.#post({ type: "operate", operation, target });
  }

  /** Stops a loaded model after this time without a request (null: never), until it is unloaded. */
  keep(model: string, idleTtlMs: number | null): void {
    this.#post({ type: "kept", model, idleTtlMs });
  }

  snapshot(): SchedulerSnapshot {
    return snapshotOf(this.#state, this.#now());
  }

  /** Progress of a request; null if it has ended or never existed here. */
  progress(requestId: string): RequestProgress | null {
    return progressOf(this.#state, requestId, this.#now());
  }

  /**
   * Already resolved if a slot is free: the caller continues in the same tick. A lease that arrives together with the
   * cancellation must still be disposed.
   */
  acquire(asked: RequestFacts, cancellation: Cancellation, onWaiting?: (wait: Waiting) => void): Promise<Lease> {
    if (cancellation.reason !== null) return Promise.reject(cancellation.reason);
    // A client may use the same id for two concurrent requests, as for a retry; here each needs its own.
    const facts = this.#calls.has(asked.id) ? { ...asked, id: newRequestId() } : asked;
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { model: facts.model, cancellation, onWaiting, resolve, reject };
      this.#calls.set(facts.id, waiter);
      this.#post({ type: "arrived", facts });
      if (this.#calls.get(facts.id) !== waiter) return;
      cancellation.onCancel = (reason) => {
        if (this.#calls.get(facts.id) !== waiter) return;
        this.#calls.delete(facts.id);
        reject(reason);
        this.#post({ type: "cancelled", requestId: facts.id });
      };
    });
  }

  prefer(models: readonly string[], prompt: PromptFacts): readonly string[] {
    return preferred(this.#state, models, prompt);
  }

  /**
   * Rejects all waiting requests with `shutting_down` and accepts no new ones. Resolves when all leases are released,
   * or after `deadlineMs`; returns how many were not.
   */
  async close(deadlineMs: number): Promise<number> {
    this.#post({ type: "closing" });
    // The queues are empty: only leases remain.
    if (this.#calls.size > 0) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#whenIdle = resolve;
      const deadline = this.#ports.clock.after(deadlineMs, resolve);
      await promise;
      deadline.cancel();
    }
    this.#closed = true;
    this.#timer?.cancel();
    return this.#calls.size;
  }

  #post(event: SchedulerEvent): void {
    this.#inbox.push(event);
    if (this.#deciding) return;
    this.#deciding = true;
    try {
      for (let next = this.#inbox.shift(); next !== undefined; next = this.#inbox.shift()) {
        for (const effect of decide(this.#state, next, this.#now())) this.#tryOut(effect);
      }
    } finally {
      this.#deciding = false;
    }
    this.#armTimer();
  }

  #now(): number {
    return this.#ports.clock.now();
  }

  /** A port that throws must not prevent the following effects. */
  #tryOut(effect: Effect): void {
    try {
      this.#carryOut(effect);
    } catch (error) {
      this.#ports.log.error({ err: error, effect: effect.type }, "an effect of the scheduler failed");
    }
  }

  #carryOut(effect: Effect): void {
    const { fleet, log } = this.#ports;
    switch (effect.type) {
      case "dispatch":
        this.#dispatch(effect.requestId, effect.targetId, effect.queuedMs);
        break;
      case "reject":
        this.#takeWaiter(effect.requestId)?.reject(effect.refusal);
        break;
      case "waiting":
        this.#tellWaiter(effect.requestId, effect.wait);
        break;
      case "lost":
        this.#lose(effect.requestId, effect.refusal);
        break;
      case "start":
        log.info(
          { instance: effect.order.instanceId, threads: effect.order.threads, hostCacheMib: effect.order.hostCacheMib },
          "start",
        );
        fleet.start(effect.order);
        break;
      case "measure":
        this.#ports.measure?.();
        break;
      case "lend":
        fleet.lend(effect.instanceId, effect.threads);
        break;
      case "drain":
      case "resume":
        log.debug({ instance: effect.instanceId }, effect.type);
        fleet[effect.type](effect.instanceId);
        break;
      case "stop":
        log.info({ instance: effect.instanceId, cause: effect.cause }, "stop");
        fleet.stop(effect.instanceId, effect.cause);
        break;
    }
  }

  #dispatch(requestId: string, targetId: string, queuedMs: number): void {
    const waiter = this.#takeWaiter(requestId);
    const upstream = this.#ports.upstreamOf(targetId);
    if (waiter === undefined || upstream === null) {
      // The client disconnected meanwhile, or the fleet knows more than its last event: the slot is released.
      waiter?.reject(refusal("engine_lost", `Instance ${targetId} is gone`, "Send the request again.", 1));
      this.#post({ type: "cancelled", requestId });
      return;
    }
    const lease = new TargetLease(this, { requestId, targetId, model: waiter.model, upstream, queuedMs });
    this.#calls.set(requestId, lease);
    waiter.resolve(lease);
  }

  #waiterOf(requestId: string): Waiter | undefined {
    const call = this.#calls.get(requestId);
    return call instanceof TargetLease ? undefined : call;
  }

  #takeWaiter(requestId: string): Waiter | undefined {
    const waiter = this.#waiterOf(requestId);
    if (waiter === undefined) return undefined;
    this.#calls.delete(requestId);
    waiter.cancellation.onCancel = null;
    return waiter;
  }

  #tellWaiter(requestId: string, wait: Waiting): void {
    const waiter = this.#waiterOf(requestId);
    // The listener belongs to the gateway and must not run in the middle of our effects.
    if (waiter?.onWaiting !== undefined)
      queueMicrotask(() => this.#waiterOf(requestId) === waiter && waiter.onWaiting?.(wait));
  }

  /** A lost or released lease is unknown here: its slot went with the instance. */
  #takeLease(requestId: string): TargetLease | null {
    const lease = this.#calls.get(requestId);
    if (!(lease instanceof TargetLease)) return null;
    this.#calls.delete(requestId);
    return lease;
  }

  #lose(requestId: string, reason: AssistantError): void {
    this.#takeLease(requestId)?.lost.cancel(reason);
    this.#noticeIdle();
  }

  /** For leases. */
  firstToken(requestId: string): void {
    this.#post({ type: "first-token", requestId });
  }

  /** For leases. */
  finished(requestId: string, outcome: RequestOutcome): void {
    const lease = this.#takeLease(requestId);
    if (lease === null) return;
    this.#ports.ended?.(lease.targetId, outcome.end, lease.answering);
    this.#post({ type: "finished", requestId, outcome });
    this.#noticeIdle();
  }

  #noticeIdle(): void {
    if (this.#calls.size === 0) this.#whenIdle?.();
  }

  /**
   * One timer for the next due time; none if nothing is due. A timer that fires too early is not replaced: every
   * request changes its instance's idle time, and an unnecessary tick costs less than a timer per request.
   */
  #armTimer(): void {
    const at = nextDueAt(this.#state);
    if (at === null || this.#closed || (this.#timerAt !== null && this.#timerAt <= at)) return;
    this.#timer?.cancel();
    this.#timerAt = at;
    const delayMs = Math.min(MAX_TIMER_MS, Math.max(0, Math.ceil(at - this.#now())));
    this.#timer = this.#ports.clock.after(delayMs, () => this.#tick());
  }

  #tick(): void {
    // Timers are not armed meanwhile: this handles what is due, and the rest after a limit is left to the next timer,
    // so that sockets have their turn.
    this.#timerAt = Number.NEGATIVE_INFINITY;
    try {
      for (let ticks = 0; ticks < MAX_TICKS; ticks++) {
        const at = nextDueAt(this.#state);
        if (at === null || at > this.#now()) break;
        this.#post({ type: "tick" });
      }
    } finally {
      this.#timerAt = null;
      this.#armTimer();
    }
  }
}
