import { type ResourceLimits, Worker } from "node:worker_threads";
import { programFile } from "./package.ts";

export interface TimedThreadOptions {
  /** The source of the program, without extension, as `programFile` takes it. It posts `THREAD_READY` once it listens. */
  readonly program: string;
  readonly name: string;
  /** Of one request. */
  readonly timeoutMs: number;
  readonly resourceLimits?: ResourceLimits;
}

/** The first message of a thread: from then on it answers. */
export const THREAD_READY = "ready";

/** What loading a program may take on a busy machine; no part of a request's time. */
const START_TIMEOUT_MS = 30_000;

interface Running {
  readonly worker: Worker;
  isReady: boolean;
  ready: (() => void) | null;
  /** Rejects the request that it is at; null: it is at none. */
  fail: ((error: Error) => void) | null;
  answer: ((answer: unknown) => void) | null;
}

/**
 * A program in a thread that answers one request at a time, with one message for each. The thread starts with the first
 * request, does not keep the process alive, and is replaced when a request takes too long.
 */
export class TimedThread<Request, Answer> {
  readonly #options: TimedThreadOptions;
  #running: Running | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: TimedThreadOptions) {
    this.#options = options;
  }

  /** After the requests that were made before. Rejects where there is no answer within the time, or the thread ends. */
  ask(request: Request): Promise<Answer> {
    const asked = this.#last.then(() => this.#ask(request));
    this.#last = asked.catch(() => {});
    return asked;
  }

  /** Ends the thread, once it comes out of what it is at. */
  close(): void {
    if (this.#running !== null) this.#giveUp(this.#running, new Error("the thread has ended"));
  }

  #ask(request: Request): Promise<Answer> {
    const { timeoutMs } = this.#options;
    const running = this.#running ?? this.#start();
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const giveUpAfter = (ms: number): NodeJS.Timeout =>
      setTimeout(() => this.#giveUp(running, new Error(`it takes longer than ${ms / 1000} s`)), ms);
    let timer = giveUpAfter(running.isReady ? timeoutMs : START_TIMEOUT_MS);
    running.ready = () => {
      clearTimeout(timer);
      timer = giveUpAfter(timeoutMs);
    };
    running.answer = (answer) => resolve(answer as Answer);
    running.fail = reject;
    running.worker.postMessage(request);
    return promise.finally(() => {
      clearTimeout(timer);
      running.ready = null;
      running.answer = null;
      running.fail = null;
    });
  }

  #start(): Running {
    const { program, name, resourceLimits = {} } = this.#options;
    const worker = new Worker(programFile(program), { name, resourceLimits });
    const running: Running = { worker, isReady: false, ready: null, answer: null, fail: null };
    worker.unref();
    worker.on("message", (message: unknown) => {
      if (running.isReady) return running.answer?.(message);
      running.isReady = true;
      running.ready?.();
    });
    worker.once("error", (error) => this.#giveUp(running, error));
    worker.once("exit", () => this.#giveUp(running, new Error("the thread has ended")));
    this.#running = running;
    return running;
  }

  #giveUp(running: Running, error: Error): void {
    if (this.#running === running) this.#running = null;
    running.fail?.(error);
    void running.worker.terminate();
  }
}
