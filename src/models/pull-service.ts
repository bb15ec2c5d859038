import { randomBytes } from "node:crypto";
import PQueue from "p-queue";
import { AssistantError, toAssistantError } from "../core/errors.ts";
import type { Configured } from "./configure.ts";
import { Rate, secondsLeft } from "./pull/rate.ts";
import type { PulledModel, PullOptions, PullPhase } from "./pull.ts";
import { isLocal, parseReference } from "./reference.ts";

/** What to pull, as for `pull`. Local paths are refused: they would let API clients read any file of this machine. */
export interface PullRequest {
  readonly reference: string;
  readonly name?: string | null;
  readonly sha256?: string | null;
  readonly allowPrivate?: boolean;
  /** Write a model file for it where no configured model uses the weights. Default: yes. */
  readonly configure?: boolean;
}

/** A pull as it stands. Times are epoch milliseconds. */
export interface PullStatus {
  readonly id: string;
  readonly reference: string;
  readonly state: "waiting" | "running" | "done" | "failed" | "cancelled";
  readonly phase: PullPhase | null;
  /** The source of the bytes, for people. */
  readonly source: string | null;
  readonly bytes: number;
  readonly totalBytes: number | null;
  readonly bytesPerSecond: number | null;
  readonly secondsLeft: number | null;
  readonly startedAt: number;
  readonly endedAt: number | null;
  readonly result: PulledModel | null;
  readonly configured: Configured | null;
  readonly error: { readonly code: string; readonly message: string; readonly remedy: string | null } | null;
}

export interface PullServiceOptions {
  pull(
    reference: string,
    options: Pick<PullOptions, "name" | "sha256" | "allowPrivate" | "signal" | "onProgress">,
  ): Promise<PulledModel>;
  /** Makes a pulled model ready to run. */
  configure(pulled: PulledModel): Promise<Configured>;
}

const MAX_AT_ONCE = 3;
const MAX_UNFINISHED = 100;
/** Ended pulls that are remembered. */
const MAX_ENDED = 50;

interface Entry {
  status: PullStatus;
  readonly key: string;
  readonly abort: AbortController;
  /** Called at every change. */
  readonly listeners: Set<() => void>;
  ended: Promise<PulledModel>;
}

/** The pulls of a daemon: each runs once, however many clients request it, and all of them may follow it. */
export class PullService {
  readonly #options: PullServiceOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #queue = new PQueue({ concurrency: MAX_AT_ONCE });

  constructor(options: PullServiceOptions) {
    this.#options = options;
  }

  /**
   * Begins a pull, or joins the unfinished one of the same request. Throws `usage`, `unknown_source` and `queue_full`.
   */
  start(request: PullRequest): PullStatus {
    // Throws for what names nothing, before there is a pull.
    if (parseReference(request.reference, { cwd: "/", home: "/" }).type === "path") throw isLocal(request.reference);
    const { configure = true, ...rest } = request;
    const { reference, name = null, sha256 = null, allowPrivate = false } = rest;
    const key = JSON.stringify([reference, name, sha256, allowPrivate, configure]);
    const unfinished = [...this.#entries.values()].filter(({ status }) => status.endedAt === null);
    const joined = unfinished.find((entry) => entry.key === key && !entry.abort.signal.aborted);
    if (joined !== undefined) return joined.status;
    if (unfinished.length >= MAX_UNFINISHED)
      throw new AssistantError("queue_full", `${MAX_UNFINISHED} pulls are unfinished; no more are accepted.`, {
        remedy: "Wait for some to end, or cancel them.",
      });
    const entry = newEntry(request.reference, key);
    this.#entries.set(entry.status.id, entry);
    entry.ended = this.#queue.add(() => this.#run(entry, rest, configure));
    // Errors are reported through the status or the result.
    entry.ended.catch(() => {});
    return entry.status;
  }

  /** The unfinished ones and the last that ended, oldest first. */
  list(): PullStatus[] {
    return [...this.#entries.values()].map(({ status }) => status);
  }

  /** Throws `request_not_found`. */
  get(id: string): PullStatus {
    return this.#find(id).status;
  }

  /** The pulled model. Rejects as `pull` does, and with `request_not_found`. */
  result(id: string): Promise<PulledModel> {
    return this.#find(id).ended;
  }

  /** Cancels it for all its followers; received data is kept for the next pull. Does nothing to one that has ended. */
  cancel(id: string): void {
    const entry = this.#find(id);
    this.#abort(entry, new AssistantError("pull_failed", `The pull of ${entry.status.reference} was cancelled.`));
  }

  /** Its status now and after each change, the last one when it has ended. Leaving the loop does not end the pull. */
  async *follow(id: string): AsyncGenerator<PullStatus> {
    const entry = this.#find(id);
    let changed = Promise.withResolvers<void>();
    const listener = (): void => changed.resolve();
    entry.listeners.add(listener);
    try {
      for (;;) {
        const { status } = entry;
        yield status;
        if (status.endedAt !== null) return;
        // What came while the status was taken is in the next one.
        if (entry.status === status) await changed.promise;
        changed = Promise.withResolvers<void>();
      }
    } finally {
      entry.listeners.delete(listener);
    }
  }

  /** Cancels all; what has arrived is kept. */
  async close(): Promise<void> {
    for (const entry of this.#entries.values())
      this.#abort(entry, new AssistantError("shutting_down", "The daemon is stopping."));
    await this.#queue.onIdle();
  }

  #abort(entry: Entry, reason: AssistantError): void {
    if (entry.status.endedAt !== null) return;
    entry.abort.abort(reason);
    // One that runs ends when it has noticed; one that waits for its turn would not before that.
    if (entry.status.state === "waiting") this.#end(entry, { state: "cancelled", error: errorOf(reason) });
  }

  async #run(entry: Entry, request: Omit<PullRequest, "configure">, configure: boolean): Promise<PulledModel> {
    const { signal } = entry.abort;
    const rate = new Rate();
    try {
      signal.throwIfAborted();
      update(entry, { state: "running" });
      const result = await this.#options.pull(request.reference, {
        name: request.name ?? null,
        sha256: request.sha256 ?? null,
        allowPrivate: request.allowPrivate ?? false,
        signal,
        onProgress: ({ phase, source, bytes, totalBytes }) => {
          const perSecond = rate.add(`${phase} ${source}`, bytes);
          const bytesPerSecond = phase === "download" && perSecond !== null ? Math.round(perSecond) : null;
          const left = secondsLeft(bytes, totalBytes, bytesPerSecond);
          update(entry, { phase, source, bytes, totalBytes, bytesPerSecond, secondsLeft: left });
        },
      });
      const configured = configure ? await this.#options.configure(result) : null;
      this.#end(entry, { state: "done", bytes: result.bytes, totalBytes: result.bytes, result, configured });
      return result;
    } catch (thrown) {
      this.#end(entry, { state: signal.aborted ? "cancelled" : "failed", error: errorOf(thrown) });
      throw thrown;
    }
  }

  #end(entry: Entry, change: Partial<PullStatus>): void {
    if (entry.status.endedAt !== null) return;
    update(entry, { ...change, phase: null, bytesPerSecond: null, secondsLeft: null, endedAt: Date.now() });
    const ended = [...this.#entries].filter(([, { status }]) => status.endedAt !== null);
    for (const [id] of ended.slice(0, -MAX_ENDED)) this.#entries.delete(id);
  }

  #find(id: string): Entry {
    const entry = this.#entries.get(id);
    if (entry !== undefined) return entry;
    throw new AssistantError("request_not_found", `There is no pull ${JSON.stringify(id)}.`, {
      param: "id",
      remedy: "`GET /admin/pulls` lists those that run and the last that ended.",
    });
  }
}

function errorOf(thrown: unknown): PullStatus["error"] {
  const { code, message, remedy } = toAssistantError(thrown);
  return { code, message, remedy };
}

function update(entry: Entry, change: Partial<PullStatus>): void {
  entry.status = { ...entry.status, ...change };
  for (const listener of entry.listeners) listener();
}

const newEntry = (reference: string, key: string): Entry => ({
  key,
  abort: new AbortController(),
  listeners: new Set(),
  ended: Promise.withResolvers<PulledModel>().promise,
  status: {
    id: `pull-${randomBytes(6).toString("hex")}`,
    reference,
    state: "waiting",
    phase: null,
    source: null,
    bytes: 0,
    totalBytes: null,
    bytesPerSecond: null,
    secondsLeft: null,
    startedAt: Date.now(),
    endedAt: null,
    result: null,
    configured: null,
    error: null,
  },
});
