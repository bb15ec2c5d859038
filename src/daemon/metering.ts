import type { DaemonStatus } from "../api/status.ts";
import type { UsageByDay, UsageReport } from "../api/usage.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { FinishedRequest } from "../core/request.ts";
import type { Store } from "../core/store.ts";
import { KeyLimits } from "../gateway/front/key-limits.ts";
import type { RequestLog } from "../inference/ports.ts";
import { BoundedNames } from "../telemetry/bounded-names.ts";
import { Metrics } from "../telemetry/metrics.ts";
import type { TaskQueueFacts } from "../telemetry/task-metrics.ts";
import { UsageLedger, type UsageSources, usageCollection } from "../telemetry/usage.ts";

/** A crash loses the usage of as long, milliseconds. */
const SAVE_EVERY_MS = 60_000;
/**
 * Requests that are counted together. One by one, with other work between them, each costs the daemon several times as
 * much.
 */
const COUNTED_AT_ONCE = 256;

/** What is counted of requests and instances: for metrics, for what each key has used, and against its limits. */
export class Metering implements AsyncDisposable {
  readonly keyLimits: KeyLimits;
  readonly #metrics = new Metrics();
  readonly #usage: UsageLedger;
  readonly #timer: NodeJS.Timeout;
  readonly #failed: (error: unknown) => void;
  readonly #models = new BoundedNames();
  readonly #instances = new BoundedNames();
  #uncounted: FinishedRequest[] = [];

  private constructor(usage: UsageLedger, failed: (error: unknown) => void) {
    this.#usage = usage;
    this.keyLimits = new KeyLimits({ usedToday: (name) => usage.ofToday(name, Date.now()) });
    this.#failed = failed;
    this.#timer = setInterval(() => void this.#save(), SAVE_EVERY_MS).unref();
  }

  /** `failed` is called when the usage could not be written. */
  static async open(sources: UsageSources, failed: (error: unknown) => void): Promise<Metering> {
    return new Metering(await UsageLedger.open(sources, Date.now()), failed);
  }

  /** Reads what was saved where that could not be done at the start, once the store is there. */
  watch(store: Pick<Store, "watch">): Disposable {
    return store.watch(usageCollection.name, (ids) => {
      if (ids === null) this.#usage.load().catch(this.#failed);
    });
  }

  get tasks(): Metrics["tasks"] {
    return this.#metrics.tasks;
  }

  get refused(): Metrics["refused"] {
    return this.#metrics.refused;
  }

  /** A log of requests that counts each of them, too. */
  counting(log: RequestLog): RequestLog {
    return (level, fields: FinishedRequest) => {
      this.keyLimits.count(fields.tenant, (fields.promptTokens ?? 0) + (fields.completionTokens ?? 0));
      if (this.#uncounted.push(fields) >= COUNTED_AT_ONCE) this.#count();
      log(level, fields);
    };
  }

  onFleetEvent(event: FleetEvent): void {
    this.#metrics.instance(event);
  }

  usage(): UsageReport {
    this.#count();
    return this.#usage.report();
  }

  /** By day, the newest first. */
  usageByDay(query: Parameters<UsageLedger["byDay"]>[0]): Promise<UsageByDay> {
    this.#count();
    return this.#usage.byDay(query);
  }

  /** In Prometheus' text format. */
  metrics(status: DaemonStatus, taskQueue: TaskQueueFacts): Promise<string> {
    this.#metrics.tasks.queue(taskQueue);
    return this.#metrics.text(status, this.usage());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    clearInterval(this.#timer);
    await this.#save();
  }

  #count(): void {
    const requests = this.#uncounted;
    this.#uncounted = [];
    const groups = new Map<string, [FinishedRequest, ...FinishedRequest[]]>();
    for (const request of requests) {
      const named = this.#named(request);
      const labels = labelsOf(named);
      const group = groups.get(labels);
      if (group === undefined) groups.set(labels, [named]);
      else group.push(named);
    }
    for (const alike of groups.values()) {
      this.#metrics.requests(alike);
      this.#usage.note(alike);
    }
  }

  #named(request: FinishedRequest): FinishedRequest {
    const model = request.model && this.#models.of(request.model);
    const instance = request.instance && this.#instances.of(request.instance);
    return model === request.model && instance === request.instance ? request : { ...request, model, instance };
  }

  async #save(): Promise<void> {
    this.#count();
    await this.#usage.save().catch(this.#failed);
  }
}

/** Equal for requests that differ only in figures. */
const labelsOf = (request: FinishedRequest): string => {
  const { tenant, model, instance, route, operation, system, end, code, finish, attempts } = request;
  return [tenant, model, instance, route, operation, system, end, code, finish, attempts].join("\0");
};
