import { type ChildProcess, spawn } from "node:child_process";
import { open } from "node:fs/promises";
import type { WorkerPool } from "../core/config.ts";
import { AssistantError } from "../core/errors.ts";
import type { AnswerSink } from "../core/inference.ts";
import { type AnswerFacts, CallerGone, SendFailure, type Sending, type Upstream } from "../core/upstream.ts";
import { logFileOf, prepareLog, tailOf, tellingLine, trimLog } from "../fleet/engine-log.ts";
import { LoopbackPorts } from "../fleet/loopback-ports.ts";
import type { RunRecord } from "../fleet/run-record.ts";
import { KserveHttpUpstream, type NameOf } from "../upstreams/kserve/http-upstream.ts";

export interface PoolPorts {
  readonly environment: Readonly<Record<string, string>>;
  readonly nameOf: NameOf;
  /** What the processes write goes to files there. */
  readonly logDir: string;
  readonly record: RunRecord;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
  /** The number of processes that are up has changed. */
  onChange(): void;
}

const FIRST_PAUSE_MS = 1_000;
const MAX_PAUSE_MS = 30_000;
const LOOK_EVERY_MS = 50;
const STOP_GRACE_MS = 5_000;
const MAX_LOG_BYTES = 10 * 2 ** 20;
const TRIM_EVERY_MS = 60_000;
/** Of a process that has crashed. */
const LAST_LINES = 20;
const ports = new LoopbackPorts();

/** One process of a pool. `starting` → `ready` → `stopping`; exited ones are not listed. */
interface Process {
  readonly child: ChildProcess;
  readonly port: number;
  readonly upstream: KserveHttpUpstream;
  readonly ended: Promise<void>;
  state: "starting" | "ready" | "stopping";
  inFlight: number;
  idle: NodeJS.Timeout | null;
}

/** A request that waits for a process with room. */
interface Waiter {
  readonly take: (process: Process) => void;
  readonly fail: (error: AssistantError) => void;
}

/**
 * The processes of one `[[worker_pools]]` entry, and their upstream. A request for which none has room starts another
 * one, within `max`, and waits for whichever is ready first; one that is idle for long enough is stopped. A process
 * that exits by itself is restarted after a delay, which doubles.
 */
export class Pool implements Upstream {
  readonly settings: WorkerPool;
  readonly #ports: PoolPorts;
  readonly #processes = new Set<Process>();
  readonly #waiters = new Set<Waiter>();
  readonly #logFile: string;
  readonly #trimming: NodeJS.Timeout;
  /** Processes that are about to be among them. */
  #spawning = 0;
  #pauseMs = 0;
  #pause: NodeJS.Timeout | null = null;
  #closed = false;

  constructor(settings: WorkerPool, poolPorts: PoolPorts) {
    this.settings = settings;
    this.#ports = poolPorts;
    this.#logFile = logFileOf(poolPorts.logDir, `workers-${settings.name}`);
    this.#trimming = setInterval(() => void trimLog(this.#logFile, MAX_LOG_BYTES).catch(() => {}), TRIM_EVERY_MS);
    this.#trimming.unref();
    this.#fill();
  }

  get isUp(): boolean {
    return [...this.#processes].some(({ state }) => state === "ready");
  }

  async send(sending: Sending, sink: AnswerSink): Promise<AnswerFacts> {
    const process = await this.#acquire(sending);
    try {
      return await process.upstream.send(sending, sink);
    } finally {
      this.#release(process);
    }
  }

  /** Ends all processes; requests that wait are refused. Resolves when they are gone. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#trimming);
    if (this.#pause !== null) clearTimeout(this.#pause);
    this.#refuse(new AssistantError("worker_unavailable", `The workers "${this.settings.name}" are being stopped.`));
    const processes = [...this.#processes];
    for (const process of processes) this.#stop(process);
    await Promise.all(processes.map(({ ended }) => ended));
  }

  #acquire({ call, lost }: Sending): Promise<Process> {
    const free = this.#withRoom();
    if (free !== null) return Promise.resolve(this.#take(free));
    return new Promise((resolve, reject) => {
      const done = (settle: () => void): void => {
        if (!this.#waiters.delete(waiter)) return;
        call.cancellation.onCancel = null;
        lost.onCancel = null;
        settle();
      };
      const waiter: Waiter = {
        take: (process) => done(() => resolve(this.#take(process))),
        fail: (error) => done(() => reject(new SendFailure(error, "never"))),
      };
      this.#waiters.add(waiter);
      call.cancellation.onCancel = () => done(() => reject(new CallerGone()));
      lost.onCancel = () =>
        waiter.fail(new AssistantError("worker_unavailable", `The workers "${this.settings.name}" are gone.`));
      this.#fill();
    });
  }

  #withRoom(): Process | null {
    const open = [...this.#processes].filter(
      ({ state, inFlight }) => state === "ready" && inFlight < this.settings.slots,
    );
    return open.sort((a, b) => a.inFlight - b.inFlight)[0] ?? null;
  }

  #take(process: Process): Process {
    process.inFlight += 1;
    if (process.idle !== null) clearTimeout(process.idle);
    process.idle = null;
    return process;
  }

  #release(process: Process): void {
    process.inFlight -= 1;
    this.#serve();
    if (process.inFlight === 0 && process.state === "ready") this.#watchIdle(process);
  }

  #serve(): void {
    for (const waiter of [...this.#waiters]) {
      const free = this.#withRoom();
      if (free === null) return;
      waiter.take(free);
    }
  }

  #watchIdle(process: Process): void {
    process.idle = setTimeout(() => {
      process.idle = null;
      const up = [...this.#processes].filter(({ state }) => state !== "stopping").length;
      if (up > this.settings.min) this.#stop(process);
    }, this.settings.idleMs);
    process.idle.unref();
  }

  /** Starts what waiting requests and `min` need. */
  #fill(): void {
    if (this.#closed || this.#pause !== null) return;
    const { min, max, slots } = this.settings;
    const alive = [...this.#processes].filter(({ state }) => state !== "stopping");
    const coming = this.#spawning + alive.filter(({ state }) => state === "starting").length;
    const needed = Math.ceil((this.#waiters.size - coming * slots) / slots);
    const there = this.#spawning + alive.length;
    const wanted = Math.min(max, Math.max(min, there + Math.max(0, needed)));
    for (let count = there; count < wanted; count += 1)
      this.#start().catch((error: unknown) => {
        const why = error instanceof Error ? error.message : String(error);
        this.#ports.log.warn({ workers: this.settings.name, why }, "worker could not be started");
        this.#refuse(this.#unstartable(why));
      });
  }

  async #start(): Promise<void> {
    this.#spawning += 1;
    let process: Process | null = null;
    try {
      process = await this.#spawn();
    } finally {
      this.#spawning -= 1;
    }
    if (process !== null) await this.#becomeReady(process);
  }

  /** Null: there is to be none any longer. */
  async #spawn(): Promise<Process | null> {
    const { name, command, workingDir } = this.settings;
    const from = await prepareLog(this.#logFile, MAX_LOG_BYTES);
    await using log = await open(this.#logFile, "a", 0o600);
    const port = await ports.take();
    if (this.#closed) {
      ports.giveBack(port);
      return null;
    }
    const [program = "", ...args] = command.map((word) => word.replaceAll("{port}", String(port)));
    const child = spawn(program, args, {
      cwd: workingDir,
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
      env: { ...this.#ports.environment, PORT: String(port), ASSISTANT_POOL: name },
    });
    const upstream = new KserveHttpUpstream(`http://127.0.0.1:${port}`, this.#ports.nameOf);
    const { promise: ended, resolve } = Promise.withResolvers<void>();
    const process: Process = { child, port, upstream, ended, state: "starting", inFlight: 0, idle: null };
    this.#processes.add(process);
    const { record, log: reports } = this.#ports;
    reports.info({ workers: name, pid: child.pid, port, log: this.#logFile }, "worker starts");
    const gone = async (why: string): Promise<void> => {
      const said = tellingLine(await tailOf(this.#logFile, LAST_LINES, from).catch(() => ""));
      this.#gone(process, said === null ? why : `${why}: ${said}`);
      if (child.pid !== undefined) await record.remove(child.pid).catch(() => {});
      resolve();
    };
    child.once("error", (error) => void gone(error.message));
    child.once("exit", (code, signal) => void gone(`it ended (${signal ?? code})`));
    if (child.pid !== undefined)
      await record
        .add(`workers/${name}`, child.pid, null)
        .catch((error: unknown) => reports.warn({ err: error }, "running workers could not be recorded"));
    return process;
  }

  async #becomeReady(process: Process): Promise<void> {
    const deadline = performance.now() + this.settings.startTimeoutMs;
    while (process.state === "starting" && this.#processes.has(process)) {
      if (await isReady(process.port)) break;
      if (performance.now() > deadline) {
        this.#ports.log.warn({ workers: this.settings.name, pid: process.child.pid }, "worker is not ready in time");
        kill(process.child, "SIGKILL");
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
    if (process.state !== "starting" || !this.#processes.has(process)) return;
    process.state = "ready";
    this.#pauseMs = 0;
    this.#ports.log.info({ workers: this.settings.name, pid: process.child.pid }, "worker is ready");
    this.#ports.onChange();
    this.#watchIdle(process);
    this.#serve();
  }

  #stop(process: Process): void {
    if (process.state === "stopping") return;
    process.state = "stopping";
    if (process.idle !== null) clearTimeout(process.idle);
    kill(process.child, "SIGTERM");
    const timer = setTimeout(() => kill(process.child, "SIGKILL"), STOP_GRACE_MS);
    process.child.once("exit", () => clearTimeout(timer));
    this.#ports.onChange();
  }

  #gone(process: Process, why: string): void {
    if (!this.#processes.delete(process)) return;
    ports.giveBack(process.port);
    process.upstream.close();
    if (process.idle !== null) clearTimeout(process.idle);
    // What it has left behind of its group goes too.
    kill(process.child, "SIGKILL");
    this.#ports.onChange();
    if (process.state === "stopping" || this.#closed) {
      this.#fill();
      return;
    }
    this.#pauseMs = Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, this.#pauseMs * 2));
    this.#ports.log.warn(
      { workers: this.settings.name, pid: process.child.pid, why, pauseMs: this.#pauseMs },
      "worker crashed",
    );
    if (process.state === "starting") this.#refuse(this.#unstartable(why));
    this.#pause ??= setTimeout(() => {
      this.#pause = null;
      this.#fill();
    }, this.#pauseMs).unref();
  }

  #unstartable(why: string): AssistantError {
    return new AssistantError(
      "worker_unavailable",
      `A worker of "${this.settings.name}" could not be started: ${why}.`,
      {
        remedy: `Run its \`command\` of \`[[worker_pools]]\` by hand to see why, or read ${this.#logFile}.`,
        retryAfterS: Math.max(1, Math.ceil(this.#pauseMs / 1000)),
      },
    );
  }

  #refuse(error: AssistantError): void {
    for (const waiter of [...this.#waiters]) waiter.fail(error);
  }
}

/** The whole group: a program may have started others. */
function kill({ pid }: ChildProcess, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, signal);
  } catch {
    // It has ended already.
  }
}

async function isReady(port: number): Promise<boolean> {
  const answer = await fetch(`http://127.0.0.1:${port}/v2/health/ready`, { signal: AbortSignal.timeout(1_000) }).catch(
    () => null,
  );
  await answer?.body?.cancel();
  return answer?.status === 200;
}
