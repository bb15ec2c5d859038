import { AssistantError } from "../core/errors.ts";
import type { FleetEvent, FleetPort, StartOrder, StopCause } from "../core/fleet.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import type { Mutable } from "../core/mutable.ts";
import { nearestNames } from "../core/nearest.ts";
import { tailOf } from "./engine-log.ts";
import { Instance } from "./instance.ts";
import { LoopbackPorts } from "./loopback-ports.ts";
import { defaultFleetSettings, type FleetOptions, type FleetSettings } from "./ports.ts";
import { RunRecord } from "./run-record.ts";
import type { Successor } from "./slot-cache.ts";

/** All instances of this machine. Every call posts to the instance's own loop; the results arrive as events. */
export class Fleet implements FleetPort {
  readonly #options: FleetOptions;
  readonly #listener: FleetOptions["onEvent"];
  /** One object for all instances, so that a change reaches the running ones. */
  readonly #settings: Mutable<FleetSettings>;
  readonly #record: RunRecord;
  readonly #ports = new LoopbackPorts();
  readonly #instances = new Map<string, Instance>();
  #closing = false;

  constructor(options: FleetOptions) {
    this.#options = { ...options, onEvent: (event) => this.#tell(event) };
    this.#listener = options.onEvent;
    this.#settings = { ...defaultFleetSettings, ...options.settings };
    this.#record = new RunRecord(options.documents, "engines");
  }

  /** Applies settings of a new configuration. Waits in progress keep their durations. */
  retune(settings: Partial<FleetSettings>): void {
    Object.assign(this.#settings, settings);
  }

  /** Ignored while the instance is up, and while a failed one must wait (`retryAt`). */
  start(order: StartOrder): void {
    if (this.#closing) return;
    let instance = this.#instances.get(order.instanceId);
    if (!instance) {
      instance = new Instance(order, this.#options, this.#settings, this.#record, this.#ports);
      this.#instances.set(order.instanceId, instance);
    }
    instance.post({ type: "start", order, byOperator: false });
  }

  drain(instanceId: string): void {
    this.#instances.get(instanceId)?.post({ type: "drain" });
  }

  resume(instanceId: string): void {
    this.#instances.get(instanceId)?.post({ type: "resume" });
  }

  lend(instanceId: string, threads: number): void {
    this.#instances.get(instanceId)?.lend(threads);
  }

  stop(instanceId: string, cause: StopCause): void {
    this.#instances.get(instanceId)?.post({ type: "stop", cause, graceMs: null });
  }

  /**
   * For operators: stops a running instance and starts it again with its last order; a failed one starts without
   * waiting. Throws `instance_not_found`.
   */
  restart(instanceId: string): void {
    this.#known(instanceId).post({ type: "restart" });
  }

  /** Its answers were errors: check whether it still produces tokens. */
  suspect(instanceId: string): void {
    this.#instances.get(instanceId)?.post({ type: "suspect" });
  }

  /** Every instance that was ever ordered and not forgotten, including absent ones. */
  snapshots(): readonly InstanceSnapshot[] {
    return [...this.#instances.values()].map((instance) => instance.snapshot);
  }

  /** Removes an absent instance, or a failed one without a process, from the list. */
  forget(instanceId: string): void {
    const instance = this.#instances.get(instanceId);
    const state = instance?.snapshot.state;
    if (!instance || instance.snapshot.pid !== null || (state !== "absent" && state !== "failed")) return;
    this.#instances.delete(instanceId);
    instance.post({ type: "close", graceMs: 0, done: () => {} });
  }

  /** The last lines printed by the instance's engine. Throws `instance_not_found`. */
  logTail(instanceId: string, lines: number): Promise<string> {
    return tailOf(this.#known(instanceId).snapshot.logFile, lines);
  }

  /**
   * Stops everything at once: SIGTERM to all groups, after `graceMs` SIGKILL. Resolves when nothing is running, or when
   * the rest cannot be killed.
   */
  async close(graceMs: number = this.#settings.stopGraceMs): Promise<void> {
    this.#closing = true;
    const ends = [...this.#instances.values()].map(
      (instance) => new Promise<void>((done) => instance.post({ type: "close", graceMs, done })),
    );
    await Promise.all(ends);
    await this.#record.written();
  }

  /** During `close`: SIGKILL to all groups now. */
  hurry(): void {
    for (const instance of this.#instances.values()) instance.post({ type: "hurry" });
  }

  #tell(event: FleetEvent): void {
    this.#listener(event);
    const { state, savedConversations = [] } = event.snapshot;
    // Only now, since its successors use the names of this event.
    if (state === "absent" && savedConversations.length > 0 && !this.#closing) void this.#handOver(event.snapshot.id);
  }

  /** Running instances of the model take over what an ended one has saved. */
  async #handOver(instanceId: string): Promise<void> {
    const place = this.#instances.get(instanceId)?.slotHolder?.place;
    if (!place) return;
    const successors = [...this.#instances.values()].flatMap((instance): Successor[] => {
      const holder = instance.snapshot.state === "ready" ? instance.slotHolder : null;
      if (holder === null) return [];
      const took = (conversations: readonly string[]): void => {
        if (instance.snapshot.state === "ready")
          this.#listener({ type: "takeover", snapshot: instance.snapshot, conversations });
      };
      return [{ ...holder, took }];
    });
    await this.#options.slotCache?.share(place, successors);
  }

  #known(instanceId: string): Instance {
    const instance = this.#instances.get(instanceId);
    if (instance) return instance;
    const near = nearestNames(instanceId, this.#instances.keys());
    const known = near.length > 0 ? ` Near it: ${near.join(", ")}.` : "";
    throw new AssistantError("instance_not_found", `There is no instance ${JSON.stringify(instanceId)}.${known}`, {
      remedy: "`assistant ps` lists the instances.",
    });
  }
}
