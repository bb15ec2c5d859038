import type { DaemonStatus } from "../api/status.ts";
import type { Clock, Timer } from "../core/clock.ts";
import { AssistantError } from "../core/errors.ts";
import type { Store } from "../core/store.ts";
import type { Elsewhere } from "./elsewhere.ts";
import { type EventType, envelope, type Happening, maySee, type Viewer } from "./events.ts";
import { type GpuFacts, type GpuStats, gpusOf } from "./gpu.ts";
import { type Disk, type Health, healthOf } from "./health.ts";
import { type LogLine, type LogQuery, RecentLogs } from "./recent-logs.ts";
import { checkStore } from "./store-check.ts";
import { dayOf, TaskStats } from "./task-stats.ts";
import type { TracingFacts } from "./tracing-facts.ts";

export interface MonitorPorts {
  status(): Promise<DaemonStatus>;
  readonly store: Pick<Store, "collection" | "commit">;
  /** Of the data directory; null: it cannot be read. */
  disk(): Promise<Disk | null>;
  gpuFacts(): Promise<GpuFacts>;
  /** Tasks that wait, and the ids of those that run, the oldest first. */
  tasks(): { readonly waiting: number; readonly running: readonly string[] };
  /** Of this run of the daemon: a change takes a restart. */
  readonly tracing: TracingFacts;
  /** What happens to tasks on other daemons; null: there are none. */
  readonly elsewhere: Pick<Elsewhere, "isWatched" | "tell" | "follow"> | null;
  readonly clock: Clock;
  /** Called when something could not be read or written. */
  failed(what: string, error: unknown): void;
}

/** An event as it is sent. */
export interface Message {
  readonly type: EventType;
  readonly taskId: string | null;
  readonly text: string;
}

export interface QueueStats {
  readonly queue_size: number;
  /** The one that runs for the longest; null: none does. */
  readonly processing_task: string | null;
  readonly processing_tasks: readonly string[];
  readonly recent_logs_count: number;
}

interface Watcher {
  readonly viewer: Viewer;
  readonly take: (message: Message) => void;
  /** Some events of other daemons were missed; null: unknown how many. */
  readonly lost: (count: number | null) => void;
}

/** Interval of GPU reports while there are watchers. */
const GPU_EVERY_MS = 2_000;
const GPU_CACHED_MS = 5_000;

/** The daemon's events, for watchers, and its status. */
export class Monitor {
  readonly stats: TaskStats;
  readonly #ports: MonitorPorts;
  readonly #logs = new RecentLogs();
  readonly #watchers = new Set<Watcher>();
  #gpuTimer: Timer | null = null;
  #following: Disposable | null = null;
  #gpus: { readonly at: number; readonly found: Promise<readonly GpuStats[]> } | null = null;

  constructor(ports: MonitorPorts) {
    this.#ports = ports;
    this.stats = new TaskStats({
      store: ports.store,
      clock: ports.clock,
      failed: (error) => ports.failed("the statistics of tasks could not be written", error),
    });
  }

  /** There are watchers: what only they need is not computed otherwise. */
  get isWatched(): boolean {
    return this.#watchers.size > 0 || this.#ports.elsewhere?.isWatched === true;
  }

  /** Has `take` called with every event that the viewer may see, until it is disposed of. */
  watch(viewer: Viewer, take: Watcher["take"], lost: Watcher["lost"] = () => {}): Disposable {
    const watcher = { viewer, take, lost };
    this.#watchers.add(watcher);
    this.#following ??=
      this.#ports.elsewhere?.follow({
        happened: (event, at) => this.#show(event, at),
        lost: (count) => {
          for (const each of this.#watchers) each.lost(count);
        },
      }) ?? null;
    if (this.#gpuTimer === null) this.#reportGpusLater();
    return {
      [Symbol.dispose]: () => {
        this.#watchers.delete(watcher);
        if (this.#watchers.size > 0) return;
        this.#following?.[Symbol.dispose]();
        this.#following = null;
        this.#gpuTimer?.cancel();
        this.#gpuTimer = null;
      },
    };
  }

  /** Reports an event to the watchers; a task's events to those of all daemons in the cluster. */
  tell(event: Happening): void {
    const now = this.#ports.clock.now();
    if (event.task !== null) this.#ports.elsewhere?.tell(event, now);
    this.#show(event, now);
  }

  #show({ type, data, task, forOthers }: Happening, at: number): void {
    if (this.#watchers.size === 0) return;
    const message = (shown: object): Message => ({
      type,
      taskId: task?.id ?? null,
      text: envelope(type, at, { data: shown }),
    });
    const whole = message(data);
    const part = forOthers === undefined ? whole : forOthers === null ? null : message(forOthers);
    for (const { viewer, take } of this.#watchers) {
      const shown = maySee(viewer, task) ? whole : part;
      if (shown !== null) take(shown);
    }
  }

  /** Keeps a line among the last ones, and reports it. */
  log(line: LogLine): void {
    const { level, message, part, task } = this.#logs.add(line);
    const about = task === null ? { part } : { task_id: task.id };
    this.tell({ type: "log", data: { level, message, ...about }, task, forOthers: null });
  }

  logs(query: LogQuery, viewer: Viewer): ReturnType<RecentLogs["list"]> {
    return this.#logs.list(query, viewer);
  }

  get tracing(): TracingFacts {
    return this.#ports.tracing;
  }

  queue(): QueueStats {
    const { waiting, running } = this.#ports.tasks();
    return {
      queue_size: waiting,
      processing_task: running[0] ?? null,
      processing_tasks: running,
      recent_logs_count: this.#logs.count,
    };
  }

  /** Of a day, `YYYY-MM-DD`; null: today's. */
  async statsOf(day: string | null): Promise<object> {
    const date = day ?? dayOf(this.#ports.clock.now());
    const { completed, failed, tokens, durationMs } = await this.stats.of(date);
    return {
      date,
      tasks_completed: completed,
      tasks_failed: failed,
      tokens_used: tokens,
      total_duration_ms: durationMs,
      avg_duration_ms: completed === 0 ? 0 : Math.round((durationMs / completed) * 100) / 100,
    };
  }

  /** Each GPU, in order, as it was at most 5 s ago. */
  gpus(): Promise<readonly GpuStats[]> {
    const now = this.#ports.clock.now();
    if (this.#gpus === null || now - this.#gpus.at > GPU_CACHED_MS) {
      const found = this.#readGpus();
      this.#gpus = { at: now, found };
      found.catch(() => {
        this.#gpus = null;
      });
    }
    return this.#gpus.found;
  }

  /** Throws `no_gpu`. */
  async gpu(index: number | null): Promise<GpuStats> {
    const gpus = await this.gpus();
    const gpu = index === null ? gpus[0] : gpus.find(({ gpu_info: info }) => info.index === index);
    if (gpu !== undefined) return gpu;
    const found = gpus.map(({ gpu_info: info }) => info.index).join(", ");
    throw new AssistantError(
      "no_gpu",
      gpus.length === 0
        ? "This machine has no GPU that the daemon can use."
        : `There is no GPU ${index}; this machine has ${found}.`,
      { remedy: "`assistant doctor` lists the devices." },
    );
  }

  async health(): Promise<Health> {
    const { status, disk } = this.#ports;
    const [now, store, room, gpus] = await Promise.all([status(), checkStore(this.#ports.store), disk(), this.gpus()]);
    const host = now.devices.find(({ vendor }) => vendor === "cpu");
    const memory = { totalBytes: host?.memoryTotalBytes ?? 0, availableBytes: host?.memoryFreeBytes ?? 0 };
    return healthOf({ status: now, store, gpu: gpus[0] ?? null, disk: room, memory });
  }

  async close(): Promise<void> {
    this.#gpuTimer?.cancel();
    await this.stats.save();
  }

  async #readGpus(): Promise<readonly GpuStats[]> {
    const [status, facts] = await Promise.all([this.#ports.status(), this.#ports.gpuFacts()]);
    return gpusOf(status, facts);
  }

  async #reportGpus(): Promise<void> {
    const timer = this.#gpuTimer;
    try {
      const found = await this.#readGpus();
      for (const data of found) this.tell({ type: "gpu_stats", data, task: null });
      if (found.length === 0) return;
    } catch (error) {
      this.#ports.failed("the GPUs could not be read", error);
    }
    // Otherwise there are no watchers any more, or new ones since.
    if (this.#gpuTimer === timer && timer !== null) this.#reportGpusLater();
  }

  #reportGpusLater(): void {
    this.#gpuTimer = this.#ports.clock.after(GPU_EVERY_MS, () => void this.#reportGpus());
  }
}
