import type { Clock } from "../core/clock.ts";
import type { TaskSettings } from "../core/config.ts";
import { AssistantError, isAssistantError } from "../core/errors.ts";
import type { Caller, JsonObject } from "../core/inference.ts";
import type { Page, Store } from "../core/store.ts";
import type { Tracer } from "../core/trace.ts";
import type { Log } from "../inference/ports.ts";
import { type ClusterQueue, ClusterRunner } from "./cluster-runner.ts";
import { noConversations, type TaskConversations } from "./conversation.ts";
import type { DeliveryRecord } from "./delivery.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { Execution } from "./execution.ts";
import { followTask, type TaskEvent } from "./follow.ts";
import { type Job, type JobOrder, kindOfLane, laneOfKind } from "./jobs.ts";
import { type Created, type StoredTask, type TaskChange, TaskLedger, taskNotFound } from "./ledger.ts";
import { type Output, Outputs } from "./output.ts";
import {
  isEnded,
  moved,
  type TaskOrder,
  type TaskOrigin,
  type TaskRecord,
  type TaskStatus,
  taskCollection,
} from "./record.ts";
import { Relay } from "./relay.ts";
import { Runner } from "./runner.ts";
import { RunningTasks } from "./running.ts";
import { SchemaChecker } from "./schema/checker.ts";
import { Webhooks } from "./webhooks.ts";

export interface TasksOptions extends Pick<Execution, "inference" | "decode" | "callerOf"> {
  readonly store: Pick<Store, "collection" | "commit" | "watch" | "isShared">;
  /** Read each time, so that a reload takes effect. */
  readonly settings: () => TaskSettings;
  /** For the model that runs a task. */
  readonly slotsOf: (model: string) => number | null;
  /** Other daemons share the store; null: none does. */
  readonly cluster: ClusterQueue | null;
  readonly clock: Clock;
  readonly log: Log;
  /** Notified of every change, and of every piece of a running task's output. Default: ignored. */
  readonly observer?: TaskObserver;
  /** Default: none are stored. */
  readonly conversations?: TaskConversations;
  /** Default: nothing is traced. */
  readonly tracer?: Tracer | null;
  /** Default: the machine's. */
  readonly random?: () => number;
}

export interface TaskObserver {
  changed(change: TaskChange): void;
  progressed(id: string, output: Output): void;
  /** An attempt to send a webhook has ended. */
  webhookSent?(accepted: boolean): void;
}

/** Whose tasks are meant; null: all. */
export type Owner = string | null;

export interface TaskQuery {
  readonly status: TaskStatus | null;
  readonly limit: number;
  /** `next` of the previous page. */
  readonly after: string | null;
}

/** How long a count of waiting tasks is valid if other daemons change it. */
const COUNTED_FOR_MS = 1_000;
const START_RETRY_MS = 5_000;
/** For a model that runs elsewhere, with an unknown number of slots. */
const CONCURRENCY_ELSEWHERE = 4;

const halfOf = (slots: number | null): number =>
  slots === null ? CONCURRENCY_ELSEWHERE : Math.max(1, Math.floor(slots / 2));

/**
 * Durable requests that are answered later. Accepted tasks survive the daemon; each ends exactly once. Methods with an
 * id throw `task_not_found` if that owner has no such task.
 */
export class Tasks {
  readonly #options: TasksOptions;
  readonly #ledger: TaskLedger;
  readonly #outputs: Outputs;
  /** Null: there are no other daemons. */
  readonly #relay: Relay | null;
  /** Tasks by the ids of their running requests. */
  readonly #requests = new Map<string, string>();
  readonly #running: RunningTasks;
  readonly #dispatcher: Dispatcher;
  readonly #schemas = new SchemaChecker();
  readonly #webhooks: Webhooks;
  readonly #jobs = new Map<string, Job>();
  /** Number of waiting tasks; if other daemons add some, as counted a moment ago. */
  #pending = 0;
  #countedAt = 0;
  #watching: Disposable | null = null;
  #isClosed = false;
  #isPaused = false;

  constructor(options: TasksOptions) {
    this.#options = options;
    const { store, settings, clock, random = Math.random, tracer = null, observer, cluster, ...rest } = options;
    this.#outputs = new Outputs((id, output) => {
      if (output !== null) observer?.progressed(id, output);
      this.#relay?.grown(id);
    });
    this.#relay =
      cluster === null
        ? null
        : new Relay({ connection: cluster.connection, kind: "task", read: (id) => this.#outputs.growing(id), clock });
    this.#ledger = new TaskLedger({
      store,
      retentionMs: () => settings().retentionMs,
      now: () => clock.now(),
      announce: (tasks) => this.#dispatcher.announce(tasks),
      changed: (change) => {
        this.#changed(change);
        observer?.changed(change);
      },
    });
    this.#running = new RunningTasks({
      ...rest,
      clock,
      random,
      tracer,
      ledger: this.#ledger,
      outputs: this.#outputs,
      requests: this.#requests,
      schemas: this.#schemas,
      conversations: options.conversations ?? noConversations,
      job: (kind) => this.#jobs.get(kind),
    });
    const dispatch = {
      ledger: this.#ledger,
      running: this.#running,
      concurrency: (lane: string) => this.#concurrencyOf(lane),
      clock,
      log: options.log,
    };
    this.#dispatcher =
      cluster === null
        ? new Runner(dispatch)
        : new ClusterRunner({
            ...{ ...dispatch, ...cluster },
            serves: (lane) => !this.#isPaused && cluster.serves(lane),
          });
    this.#webhooks = new Webhooks({
      store,
      clock,
      log: options.log,
      tracer,
      sent: (accepted) => observer?.webhookSent?.(accepted),
      deliveries: this.#ledger.deliveries,
      tasks: this.#ledger.tasks,
      settings: () => settings().webhooks,
    });
  }

  get settings(): TaskSettings {
    return this.#options.settings();
  }

  /** Concurrent task requests of a model. */
  concurrency(model: string): number {
    return this.settings.concurrency ?? halfOf(this.#options.slotsOf(model));
  }

  /** Adds a kind of task. Call it before `start`. */
  register(kind: string, job: Job): void {
    this.#jobs.set(kind, job);
  }

  /** Waiting tasks, and the ids of running ones, the oldest first. */
  get queue(): { readonly waiting: number; readonly running: readonly string[] } {
    return { waiting: this.#pending, running: this.#running.ids };
  }

  /** The task that a running request belongs to; null: none. */
  taskOf(requestId: string): string | null {
    return this.#requests.get(requestId) ?? null;
  }

  /** Resumes what an earlier daemon left, and starts work. Retries until the store can be read. */
  async start(): Promise<void> {
    const { clock, log } = this.#options;
    while (!this.#isClosed) {
      try {
        await this.#countPending();
        if (this.#isClosed) return;
        this.#watching ??= this.#options.store.watch(taskCollection.name, (ids) => this.#changedElsewhere(ids));
        await this.#dispatcher.start();
        if (!this.#isClosed) this.#webhooks.start();
        return;
      } catch (error) {
        log.error({ err: error }, "tasks cannot be read; trying again");
        await new Promise<void>((resolve) => clock.after(START_RETRY_MS, resolve));
      }
    }
  }

  /**
   * Leaves the tasks of a cluster to its other daemons, from the next check of the queues on. Running ones continue.
   */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused;
  }

  /** Starts no more tasks, and ends the streams of followers. */
  close(): void {
    this.#isClosed = true;
    this.#watching?.[Symbol.dispose]();
    this.#relay?.close();
    this.#dispatcher.stop();
    this.#running.stop();
    this.#outputs.touchAll();
  }

  /** Resolves when running tasks have ended and are stored. Unsent webhooks are sent at the next start. */
  async settled(): Promise<void> {
    await this.#running.settled();
    await this.#dispatcher.settled();
    await this.#webhooks.stop();
    this.#schemas.close();
  }

  /** The secret that signs webhooks. */
  webhookSecret(): Promise<string> {
    return this.#webhooks.secret();
  }

  /**
   * Accepts all of the orders, durably, or none. Throws `queue_full`, or `invalid_request` for a schema that cannot be
   * used. An order with a known key returns the existing task.
   */
  async create(orders: readonly TaskOrder[], { tenant }: Caller, origin: TaskOrigin): Promise<readonly Created[]> {
    await this.#requireRoom(orders.length);
    const schemas = new Map(
      orders.flatMap(({ schema }) => (schema === null ? [] : [[JSON.stringify(schema), schema]])),
    );
    for (const schema of schemas.values()) await this.#requireUsable(schema);
    return await this.#ledger.create(orders, { tenant, ...origin });
  }

  /** Accepts a task that a job does, durably. Throws `queue_full`. */
  async enqueue(
    { id, kind, model, request, priority, maxAttempts = this.settings.maxAttempts }: JobOrder,
    { tenant }: Pick<Caller, "tenant">,
  ): Promise<void> {
    await this.#requireRoom(1);
    const lane = this.#jobs.get(kind)?.atOnce === undefined ? model : laneOfKind(kind, model);
    const order: TaskOrder = {
      ...{ model, request, priority, job: { kind, lane } },
      ...{ fallbacks: [], schema: null, repair: false, runAt: null, webhookUrl: null, idempotencyKey: null },
      maxAttempts,
    };
    await this.#ledger.create([order], { tenant, traceId: id, trace: null, id });
  }

  /** The status of a task; null: it no longer exists. */
  async find(id: string): Promise<TaskRecord | null> {
    return (await this.#ledger.tasks.get(id))?.value ?? null;
  }

  async get(id: string, owner: Owner): Promise<StoredTask> {
    const record = await this.#ledger.tasks.get(id);
    if (record === null || (owner !== null && record.tenant !== owner)) throw taskNotFound(id);
    return record;
  }

  /** The task, and its webhook once it has ended. */
  async report(
    id: string,
    owner: Owner,
  ): Promise<{ readonly task: StoredTask; readonly delivery: DeliveryRecord | null }> {
    const task = await this.get(id, owner);
    const delivery = task.value.webhookUrl === null ? null : await this.#ledger.deliveries.get(id);
    return { task, delivery: delivery?.value ?? null };
  }

  /** Newest first. */
  list(owner: Owner, { status, limit, after }: TaskQuery): Promise<Page<TaskRecord>> {
    const index = owner === null ? "status" : status === null ? "tenant" : "tenantStatus";
    const equals = [...(owner === null ? [] : [owner]), ...(status === null ? [] : [status])];
    return this.#ledger.list({
      ...(equals.length === 0 ? {} : { index, equals }),
      order: "desc",
      limit,
      ...(after === null ? {} : { after }),
    });
  }

  /** Throws `task_not_finished` while it waits or runs. */
  async remove(id: string, owner: Owner): Promise<void> {
    for (;;) {
      const record = await this.get(id, owner);
      if (!isEnded(record.value.status))
        throw new AssistantError("task_not_finished", `The task ${id} is ${record.value.status}.`, {
          remedy: "Cancel it first.",
        });
      if (await this.#ledger.remove(record)) return;
    }
  }

  /** Ends it now, whether it waits or runs. Throws `task_finished` if it has already ended. */
  async cancel(id: string, owner: Owner): Promise<StoredTask> {
    await this.get(id, owner);
    const cancelled = await this.#ledger.change(id, ({ value: task }) => {
      if (isEnded(task.status)) throw new AssistantError("task_finished", `The task ${id} is ${task.status} already.`);
      const now = this.#options.clock.now();
      const entry = { at: now, level: "info", message: "cancelled" } as const;
      return moved(task, "cancelled", { finishedAt: now }, entry);
    });
    this.#running.cancel(id);
    return cancelled;
  }

  /** Cancels all waiting and running tasks of a tenant. */
  async cancelAllOf(tenant: string): Promise<void> {
    for (const status of ["pending", "processing"] as const)
      for (let after: string | null | undefined; after !== null; ) {
        const page: Page<TaskRecord> = await this.list(tenant, { status, limit: 100, after: after ?? null });
        for (const { id } of page.records)
          await this.cancel(id, tenant).catch((error: unknown) => {
            if (!isAssistantError(error) || error.code !== "task_finished") throw error;
          });
        after = page.next;
      }
  }

  /** The events of the task until it has ended, with its output from the start, however late this is called. */
  follow(id: string, owner: Owner): AsyncGenerator<TaskEvent> {
    return followTask(id, {
      read: () => this.get(id, owner),
      outputs: this.#outputs,
      relay: this.#relay,
      clock: this.#options.clock,
      isClosed: () => this.#isClosed,
    });
  }

  #concurrencyOf(lane: string): number {
    const { model, kind } = kindOfLane(lane);
    return kind === null ? this.concurrency(model) : (this.#jobs.get(kind)?.atOnce ?? 0);
  }

  async #countPending(): Promise<void> {
    this.#countedAt = this.#options.clock.now();
    this.#pending = await this.#ledger.tasks.count({ index: "status", equals: ["pending"] });
  }

  async #requireRoom(count: number): Promise<void> {
    const { maxPending } = this.settings;
    const { clock, store } = this.#options;
    if (store.isShared && clock.now() > this.#countedAt + COUNTED_FOR_MS) await this.#countPending();
    if (this.#pending + count > maxPending)
      throw new AssistantError("queue_full", `${this.#pending} tasks are waiting; at most ${maxPending} may.`, {
        remedy: "Try again when some have ended, or raise `[tasks] max_pending`.",
        retryAfterS: 10,
      });
  }

  #changedElsewhere(ids: readonly string[] | null): void {
    if (ids === null) this.#outputs.touchAll();
    else for (const id of ids) this.#outputs.touch(id);
    void this.#running.recheck(ids);
  }

  #changed({ id, before, after }: TaskChange): void {
    const isPending = after?.status === "pending";
    this.#pending += Number(isPending) - Number(before?.status === "pending");
    if (isPending && after.lane !== null) this.#dispatcher.wake(after.lane);
    if (isPending && after.dueAt !== null) this.#dispatcher.wakeAt(after.dueAt);
    if (after !== null && after.webhookUrl !== null && isEnded(after.status)) this.#webhooks.look();
    this.#outputs.touch(id);
  }

  async #requireUsable(schema: JsonObject): Promise<void> {
    const problem = await this.#schemas.check(schema, null);
    if (problem === null) return;
    throw new AssistantError("invalid_request", `output_schema: ${problem}.`, { param: "output_schema" });
  }
}
