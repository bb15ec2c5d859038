import { Worker } from "node:worker_threads";
import type { Clock } from "../../core/clock.ts";
import { AssistantError, type ErrorCode } from "../../core/errors.ts";
import { programFile } from "../../core/package.ts";
import type { BatchReply, CallName, Calls, ErrorShape, Request, ThreadData } from "./protocol.ts";

interface Pending {
  readonly request: Request;
  resolve(answer: unknown): void;
  reject(error: Error): void;
}

/**
 * Reads and written records. Copying a batch to the thread holds up the daemon, and what comes after it waits for all
 * of it.
 */
const MAX_BATCH = 500;
const THREAD = programFile("src/store/sqlite/thread-program");

/**
 * The connection to the thread with the database. One batch is in progress at a time; requests made meanwhile form the
 * next one. The thread starts with the first request, and keeps the process alive only while it has work.
 */
export class Channel {
  readonly #data: ThreadData;
  readonly #clock: Pick<Clock, "now">;
  readonly #report: (problem: string) => void;
  #worker: Worker | null = null;
  #waiting: Pending[] = [];
  #sent: Pending[] = [];
  #closed = false;
  #idle: (() => void) | null = null;

  constructor(data: ThreadData, clock: Pick<Clock, "now">, report: (problem: string) => void) {
    this.#data = data;
    this.#clock = clock;
    this.#report = report;
  }

  call<Name extends CallName>(call: Name, request: Calls[Name]["request"]): Promise<Calls[Name]["answer"]> {
    if (this.#closed) return Promise.reject(closedError(this.#data.file));
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request: { call, ...request } as Request, resolve, reject });
      if (this.#waiting.length === 1 && this.#sent.length === 0) queueMicrotask(() => this.#send());
    });
  }

  /** Resolves when everything that was asked has been answered and the file is closed. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#waiting.length + this.#sent.length > 0)
      await new Promise<void>((resolve) => {
        this.#idle = resolve;
      });
    const worker = this.#worker;
    this.#worker = null;
    if (worker === null) return;
    worker.ref();
    const exited = new Promise((resolve) => worker.once("exit", resolve));
    worker.postMessage(null);
    await exited;
  }

  #send(): void {
    if (this.#sent.length > 0) return;
    if (this.#waiting.length === 0) {
      this.#worker?.unref();
      this.#idle?.();
      return;
    }
    this.#sent = this.#waiting.splice(0, batchLength(this.#waiting));
    this.#worker ??= this.#start();
    this.#worker.ref();
    this.#worker.postMessage({ now: this.#clock.now(), requests: this.#sent.map(({ request }) => request) });
  }

  #start(): Worker {
    const worker = new Worker(THREAD, { workerData: this.#data, name: "store" });
    worker.on("message", ({ replies, problems }: BatchReply) => {
      problems.forEach(this.#report);
      const sent = this.#sent;
      this.#sent = [];
      for (const [index, { resolve, reject }] of sent.entries()) {
        const reply = replies[index];
        if (reply !== undefined && "answer" in reply) resolve(reply.answer);
        else reject(errorOf(reply?.error));
      }
      this.#send();
    });
    const lost = (error: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = null;
      const sent = this.#sent;
      this.#sent = [];
      for (const { reject } of sent)
        reject(new AssistantError("store_unavailable", "The store's thread ended.", { cause: error }));
      this.#send();
    };
    worker.once("error", lost);
    worker.once("exit", lost);
    return worker;
  }
}

/** How many of the requests go together: at least one. */
function batchLength(waiting: readonly Pending[]): number {
  let size = 0;
  const end = waiting.findIndex(({ request }) => {
    const isFull = size >= MAX_BATCH;
    size += request.call === "commit" ? request.writes.length : 1;
    return isFull;
  });
  return end === -1 ? waiting.length : end;
}

const errorOf = (shape: ErrorShape | undefined): AssistantError =>
  new AssistantError(
    (shape?.code ?? "internal") as ErrorCode,
    shape?.message ?? "The store sent no answer.",
    shape === undefined || shape.remedy === null ? {} : { remedy: shape.remedy },
  );

const closedError = (file: string): AssistantError =>
  new AssistantError("store_unavailable", `The store ${file} is closed.`, {
    remedy: "The daemon is stopping; try again when it has restarted.",
  });
