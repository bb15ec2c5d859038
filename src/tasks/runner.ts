import type { Clock } from "../core/clock.ts";
import type { Log } from "../inference/ports.ts";
import type { Announcement, Dispatcher } from "./dispatcher.ts";
import type { StoredTask, TaskLedger } from "./ledger.ts";
import { laneOf } from "./record.ts";
import { leftBehind, type RunningTasks } from "./running.ts";

/** Over all models: each holds its prompt and its answer in memory. */
const MAX_RUNNING = 256;
/** After a failure of the store. */
const STORE_RETRY_MS = 1_000;
/** Timers cannot wait longer than 24 days. */
const MAX_WAIT_MS = 3_600_000;
const PAGE = 100;

export interface RunnerOptions {
  readonly ledger: TaskLedger;
  readonly running: RunningTasks;
  /** Tasks of one queue at once. */
  readonly concurrency: (lane: string) => number;
  readonly clock: Clock;
  readonly log: Log;
}

/** The tasks of one queue, which start by priority, then in order of creation. */
interface Lane {
  running: number;
  /** The queue is read by one at a time. */
  isPumping: boolean;
  /** There may be a task that was not seen. */
  isStale: boolean;
}

/**
 * Starts the tasks of a single daemon. The queue is in the store, not here, so that a crash loses nothing and a long
 * queue costs no memory.
 */
export class Runner implements Dispatcher {
  readonly #options: RunnerOptions;
  readonly #lanes = new Map<string, Lane>();
  /** A model's tasks wait for a place among those of all models. */
  #isFull = false;
  #dueTimer: Disposable | null = null;
  #dueAt = Number.POSITIVE_INFINITY;
  #state: "new" | "running" | "stopping" = "new";

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  /** Resumes what an earlier daemon left, and starts work. May be called again if the store failed. */
  async start(): Promise<void> {
    if (this.#state === "new") {
      await this.#takeUp();
      // Not earlier: from here on, running tasks are this daemon's own. It may have been stopped meanwhile.
      if (this.#state === "new") this.#state = "running";
    }
    for (const lane of await this.#waitingLanes()) this.wake(lane);
    await this.#releaseDue();
  }

  /** Starts no more tasks. Running ones may end; those that fail from now on resume at the next start. */
  stop(): void {
    this.#state = "stopping";
    this.#dueTimer?.[Symbol.dispose]();
  }

  async settled(): Promise<void> {}

  /** The queue consists of the records. */
  async announce(): Promise<Announcement> {
    return { done: Promise.resolve() };
  }

  /** A task of the queue may start. */
  wake(name: string): void {
    const lane = this.#lanes.get(name) ?? { running: 0, isPumping: false, isStale: false };
    this.#lanes.set(name, lane);
    lane.isStale = true;
    if (!lane.isPumping) void this.#pump(name, lane);
  }

  /** A task starts no earlier than this. */
  wakeAt(dueAt: number): void {
    if (this.#state !== "running" || dueAt >= this.#dueAt) return;
    const { clock, log } = this.#options;
    this.#dueAt = dueAt;
    this.#dueTimer?.[Symbol.dispose]();
    const waitMs = Math.max(0, Math.min(MAX_WAIT_MS, dueAt - clock.now()));
    this.#dueTimer = clock.after(waitMs, () => {
      this.#dueAt = Number.POSITIVE_INFINITY;
      this.#releaseDue().catch((error: unknown) => {
        log.warn({ err: error }, "scheduled tasks could not be read");
        this.wakeAt(clock.now() + STORE_RETRY_MS);
      });
    });
  }

  async #pump(name: string, lane: Lane): Promise<void> {
    const { ledger, running, concurrency, log, clock } = this.#options;
    lane.isPumping = true;
    try {
      while (lane.isStale && this.#state === "running") {
        const free = Math.min(concurrency(name) - lane.running, MAX_RUNNING - running.size);
        if (free <= 0) {
          this.#isFull ||= running.size >= MAX_RUNNING;
          break;
        }
        lane.isStale = false;
        const { records, next } = await ledger.list({ index: "lane", equals: [name], limit: free });
        const started = await Promise.all(records.map((record) => this.#claim(record, lane)));
        if (next !== null || started.includes(false)) lane.isStale = true;
      }
    } catch (error) {
      log.warn({ err: error, queue: name }, "waiting tasks could not be read");
      clock.after(STORE_RETRY_MS, () => this.wake(name));
    } finally {
      lane.isPumping = false;
      if (lane.running === 0 && !lane.isStale) this.#lanes.delete(name);
    }
  }

  /** False: the task was changed meanwhile. */
  async #claim(record: StoredTask, lane: Lane): Promise<boolean> {
    const { running } = this.#options;
    const claimed = await running.claim(record);
    if (claimed === null) return false;
    lane.running++;
    void running.run(claimed).finally(() => {
      lane.running--;
      this.#ended(laneOf(claimed.value));
    });
    return true;
  }

  #ended(lane: string): void {
    const woken = this.#isFull ? [...this.#lanes.keys()] : [lane];
    this.#isFull = false;
    for (const name of woken) this.wake(name);
  }

  /** Tasks that were running when an earlier daemon ended wait again. */
  async #takeUp(): Promise<void> {
    const { ledger, clock } = this.#options;
    for (;;) {
      const { records } = await ledger.list({ index: "status", equals: ["processing"], limit: PAGE });
      if (records.length === 0) return;
      await Promise.all(records.map((record) => ledger.replace(record, leftBehind(record.value, clock.now()))));
    }
  }

  /** Skips from one queue to the next, regardless of their lengths. */
  async #waitingLanes(): Promise<string[]> {
    const lanes: string[] = [];
    for (;;) {
      const last = lanes.at(-1);
      const from = last === undefined ? {} : { from: `${last}\u0000` };
      const { records } = await this.#options.ledger.list({ index: "lane", limit: 1, ...from });
      const lane = records[0]?.value.lane;
      if (lane === undefined || lane === null) return lanes;
      lanes.push(lane);
    }
  }

  /** Starts tasks whose time has come, and waits for the next. */
  async #releaseDue(): Promise<void> {
    const { ledger, clock } = this.#options;
    for (;;) {
      const { records } = await ledger.list({ index: "due", limit: PAGE });
      const now = clock.now();
      const due = records.filter(({ value }) => (value.dueAt ?? 0) <= now);
      await Promise.all(
        due.map((record) => ledger.replace(record, { ...record.value, lane: laneOf(record.value), dueAt: null })),
      );
      const later = records.find(({ value }) => (value.dueAt ?? 0) > now);
      if (later !== undefined) {
        this.wakeAt(later.value.dueAt ?? now);
        return;
      }
      if (records.length === 0) return;
    }
  }
}
