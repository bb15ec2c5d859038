import type { DelayedError as DelayedErrorClass, Job, Queue, Worker } from "bullmq";
import type { Redis } from "ioredis";
import type { Clock, Timer } from "../core/clock.ts";
import type { Log } from "../inference/ports.ts";
import type { RedisConnection } from "../store/redis/connection.ts";
import type { Announcement, Dispatcher } from "./dispatcher.ts";
import type { TaskLedger } from "./ledger.ts";
import { isEnded, laneOf, type TaskOrder } from "./record.ts";
import type { RunningTasks } from "./running.ts";

/** What daemons share in addition to the store. */
export interface ClusterQueue {
  readonly connection: RedisConnection;
  /** Whether this daemon has the model of a queue. */
  readonly serves: (lane: string) => boolean;
  /** Milliseconds without a sign of life after which other daemons take over its tasks. */
  readonly lostAfterMs: number;
}

export interface ClusterRunnerOptions extends ClusterQueue {
  readonly ledger: TaskLedger;
  readonly running: RunningTasks;
  /** Tasks of one queue that run here at once. */
  readonly concurrency: (lane: string) => number;
  readonly clock: Clock;
  readonly log: Log;
}

const PREFIX = "assistant:bull";
/** Names of all queues that ever existed. */
const LANES = "assistant:lanes";
/** How often to check for crashed daemons. */
const MAX_STALLED_CHECK_MS = 3_000;
/** How soon a daemon takes part in a queue created by another one, or whose model was added. */
const LOOK_MS = 2_000;
const STORE_RETRY_MS = 1_000;
/** How long to wait for BullMQ to close, once no task runs. */
const CLOSE_MS = 3_000;
/**
 * The record follows its job within milliseconds, or within this time, or never: then its creator received no
 * acknowledgement.
 */
const RECORD_MS = 20_000;
const RECORD_LOOKS_MS = [5, 20, 75, 200, 500];
/** BullMQ's priorities are integers from 1, lowest first; ours are 0 to 100 with decimals, highest first. */
const PRIORITY_STEPS = 1_000;
const MAX_PRIORITY = 100;
/** Attempts and their delays are kept in the record: BullMQ must never give a task up. */
const NEVER = 1_000_000;
const EVENTS_KEPT = 100;
/** How often to check whether pending tasks have a job, and how many of them. */
const ORPHANS_LOOK_MS = 30_000;
const ORPHANS_LOOKED_AT = 500;

/**
 * Shares the queues of tasks between daemons, with BullMQ. A job is only the id of a task, with its priority and its
 * earliest start. It is created before the record, so that no acknowledged task lacks one, and whoever receives it
 * reads the record. A daemon that crashes loses its lock on the job, which is then given to another one.
 */
export class ClusterRunner implements Dispatcher {
  readonly #options: ClusterRunnerOptions;
  readonly #queues = new Map<string, Promise<Queue>>();
  readonly #workers = new Map<string, Worker>();
  readonly #known = new Set<string>();
  #client: Redis | null = null;
  #delayedError: typeof DelayedErrorClass | null = null;
  #timer: Timer | null = null;
  /** Monotonic milliseconds. */
  #orphansDueAt = 0;
  /** Where the last page of waiting tasks ended; null: the next one is the first. */
  #orphansAfter: string | null = null;
  #state: "new" | "running" | "stopping" = "new";

  constructor(options: ClusterRunnerOptions) {
    this.#options = options;
  }

  async start(): Promise<void> {
    if (this.#state === "new") this.#state = "running";
    await this.#look();
    this.#lookLater();
  }

  stop(): void {
    this.#state = "stopping";
    this.#timer?.cancel();
    for (const worker of this.#workers.values()) void worker.pause(true).catch(() => {});
  }

  async settled(): Promise<void> {
    const { connection, clock } = this.#options;
    const { isUp } = connection;
    const closing = [...this.#workers.values()].map((worker) => worker.close(!isUp));
    // A queue holds nothing but the store's connection, and one that is being created waits for Redis.
    if (isUp) for (const queue of this.#queues.values()) closing.push(queue.then((made) => made.close()));
    // Redis may have stopped responding.
    const late = new Promise<void>((resolve) => clock.after(CLOSE_MS, resolve));
    await Promise.race([Promise.allSettled(closing), late]);
    this.#client?.disconnect();
  }

  async announce(tasks: readonly { readonly id: string; readonly order: TaskOrder }[]): Promise<Announcement> {
    const { connection } = this.#options;
    const lanes = Map.groupBy(tasks, ({ order }) => laneOf(order));
    const additions: (() => Promise<void>)[] = [];
    for (const [lane, members] of lanes) {
      if (!this.#known.has(lane)) {
        await connection.command("SADD", LANES, lane);
        this.#known.add(lane);
      }
      const queue = await connection.use(() => this.#queue(lane));
      additions.push(() => this.#add(lane, queue, members));
    }
    const done = Promise.all(additions.map((add) => add())).then(() => {});
    done.catch(() => {});
    // By then BullMQ has written to the connection that the store also uses, so the records follow their jobs on it,
    // and both need one wait for Redis' disk. A disconnected connection keeps no order.
    if (connection.isUp) await new Promise(setImmediate);
    else await done;
    return { done };
  }

  wake(lane: string): void {
    if (this.#state !== "running" || this.#workers.has(lane)) return;
    // The next look tries again.
    this.#take(lane).catch((error: unknown) => this.#options.log.debug({ err: error, queue: lane }, "the queue"));
  }

  /** BullMQ also has the time. */
  wakeAt(): void {}

  async #add(
    lane: string,
    queue: Queue,
    tasks: readonly { readonly id: string; readonly order: TaskOrder }[],
  ): Promise<void> {
    const now = this.#options.clock.now();
    const jobs = tasks.map(({ id, order: { priority, runAt } }) => ({
      name: "task",
      data: null,
      opts: {
        jobId: id,
        priority: 1 + Math.round((MAX_PRIORITY - priority) * PRIORITY_STEPS),
        delay: Math.max(0, (runAt ?? now) - now),
      },
    }));
    try {
      await this.#options.connection.use(() => queue.addBulk(jobs));
    } catch (error) {
      // A connection created while Redis was down never becomes ready.
      this.#queues.delete(lane);
      throw error;
    }
  }

  #lookLater(): void {
    if (this.#state !== "running") return;
    const { clock, log } = this.#options;
    this.#timer = clock.after(LOOK_MS, () => {
      void this.#look()
        .catch((error: unknown) => log.debug({ err: error }, "the queues could not be listed"))
        .finally(() => this.#lookLater());
    });
  }

  /** Takes part in the queues of all models that are here, and in no others. */
  async #look(): Promise<void> {
    const { connection, concurrency, serves } = this.#options;
    const lanes = (await connection.command("SMEMBERS", LANES)) as string[];
    for (const lane of lanes) {
      this.#known.add(lane);
      if (serves(lane)) await this.#take(lane);
    }
    for (const [lane, worker] of this.#workers) {
      if (serves(lane)) worker.concurrency = Math.max(1, concurrency(lane));
      else {
        this.#workers.delete(lane);
        void worker.close().catch(() => {});
      }
    }
    await this.#adoptOrphans();
  }

  /**
   * Announces pending tasks without a job: Redis was lost between storing and announcing them, and they could not be
   * removed again. Checks one page each time, so the cost does not depend on their number.
   */
  async #adoptOrphans(): Promise<void> {
    const { ledger, connection, clock, log } = this.#options;
    if (clock.monotonic() < this.#orphansDueAt) return;
    this.#orphansDueAt = clock.monotonic() + ORPHANS_LOOK_MS;
    const after = this.#orphansAfter === null ? {} : { after: this.#orphansAfter };
    const page = { index: "status", equals: ["pending"], limit: ORPHANS_LOOKED_AT, ...after };
    const { records, next } = await ledger.list(page);
    this.#orphansAfter = next;
    const jobs = await Promise.all(
      records.map(({ id, value }) => connection.command("EXISTS", `${PREFIX}:${nameOf(laneOf(value))}:${id}`)),
    );
    const orphans = records.filter((_, index) => jobs[index] === 0);
    if (orphans.length === 0) return;
    const { done } = await this.announce(orphans.map(({ id, value }) => ({ id, order: value })));
    await done;
    log.warn({ tasks: orphans.map(({ id }) => id) }, "queued pending tasks that had no job");
  }

  async #take(lane: string): Promise<void> {
    const { connection, concurrency, lostAfterMs, log } = this.#options;
    const { Worker, DelayedError } = await import("bullmq");
    if (this.#state !== "running" || this.#workers.has(lane) || !this.#options.serves(lane)) return;
    this.#delayedError = DelayedError;
    // BullMQ waits for a lost connection. Commands in progress are sent again, since they would never be answered
    // otherwise; its scripts tolerate that, because a job that is delivered twice loses one of its locks.
    const patient = { maxRetriesPerRequest: null, enableOfflineQueue: true, autoResendUnfulfilledCommands: true };
    this.#client ??= connection.duplicate(patient);
    const worker = new Worker(nameOf(lane), (job, token) => this.#work(job, token ?? ""), {
      connection: this.#client,
      prefix: PREFIX,
      concurrency: Math.max(1, concurrency(lane)),
      lockDuration: lostAfterMs,
      stalledInterval: Math.min(MAX_STALLED_CHECK_MS, lostAfterMs / 2),
      maxStalledCount: NEVER,
      removeOnComplete: { count: 0 },
    });
    worker.on("error", (error) => log.debug({ err: error, queue: lane }, "the queue"));
    this.#workers.set(lane, worker);
  }

  #queue(lane: string): Promise<Queue> {
    let queue = this.#queues.get(lane);
    if (queue === undefined) {
      queue = this.#makeQueue(lane);
      queue.catch(() => this.#queues.delete(lane));
      this.#queues.set(lane, queue);
    }
    return queue;
  }

  async #makeQueue(lane: string): Promise<Queue> {
    const { connection, log } = this.#options;
    const { Queue } = await import("bullmq");
    const queue = new Queue(nameOf(lane), {
      connection: connection.client,
      prefix: PREFIX,
      streams: { events: { maxLen: EVENTS_KEPT } },
      defaultJobOptions: { attempts: NEVER, removeOnComplete: true, removeOnFail: true },
    });
    queue.on("error", (error) => log.debug({ err: error, queue: lane }, "the queue"));
    await queue.waitUntilReady();
    return queue;
  }

  /** Done when the task has ended; otherwise the job is delivered again later. */
  async #work(job: Job, token: string): Promise<void> {
    const { clock, log } = this.#options;
    let backAt: number | null;
    try {
      backAt = await this.#attend(job);
    } catch (error) {
      log.warn({ err: error, task: job.id }, "a task could not be read; trying again");
      backAt = clock.now() + STORE_RETRY_MS;
    }
    if (backAt === null) return;
    // If this fails, the lock is lost, and the job is delivered again without it.
    await job.moveToDelayed(Math.max(backAt, clock.now()), token).catch(() => {});
    throw new (this.#delayedError ?? Error)();
  }

  /** Does whatever the task needs. Resolves with when to return to it, or with null. */
  async #attend({ id = "", timestamp }: Job): Promise<number | null> {
    const { ledger, running, clock } = this.#options;
    for (let looks = 0; ; ) {
      // The lock was lost while Redis was down, and the task is still running.
      await running.ended(id);
      const record = await ledger.tasks.get(id);
      const now = clock.now();
      if (record === null) {
        const waitMs = RECORD_LOOKS_MS[looks++];
        if (now > timestamp + RECORD_MS) return null;
        if (waitMs === undefined) return timestamp + RECORD_MS + 1;
        await new Promise<void>((resolve) => clock.after(waitMs, resolve));
        continue;
      }
      const { status, dueAt } = record.value;
      if (isEnded(status)) return null;
      if (this.#state === "stopping") return now;
      if (dueAt !== null && dueAt > now) return dueAt;
      const claimed = await running.claim(record);
      if (claimed !== null) await running.run(claimed);
    }
  }
}

/** BullMQ separates the parts of a key with colons. */
const nameOf = (lane: string): string => encodeURIComponent(lane);
