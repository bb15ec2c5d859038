import { Worker } from "node:worker_threads";
import { type Clock, systemClock } from "../../core/clock.ts";
import type { JsonObject } from "../../core/inference.ts";
import { programFile } from "../../core/package.ts";

export interface CheckRequest {
  readonly schema: JsonObject;
  /** Null: check whether the schema can be used. */
  readonly text: string | null;
}

/** The problem; null: there is none. */
export type CheckAnswer = string | null;

/** The first message of the thread: from then on it responds to each request with one message. */
export const THREAD_READY = "ready";

export const TIMEOUT_MS = 5_000;
/** Time to load the program on a busy machine; not part of a request's time. */
const START_TIMEOUT_MS = 30_000;
const HEAP_MIB = 128;

/**
 * Checks answers against JSON Schemas, one at a time, in a thread: a pattern may never finish. The thread starts with
 * the first request, does not keep the process alive, and is replaced when a request takes too long.
 */
export class SchemaChecker {
  readonly #clock: Clock;
  #thread: Worker | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** The problem with the text, or with the schema; null: there is none. */
  check(schema: JsonObject, text: string | null): Promise<string | null> {
    const checked = this.#last.then(() => this.#ask({ schema, text }));
    this.#last = checked;
    return checked;
  }

  close(): void {
    void this.#thread?.terminate();
    this.#thread = null;
  }

  async #ask(request: CheckRequest): Promise<string | null> {
    try {
      const thread = this.#thread ?? (await this.#start());
      thread.postMessage(request);
      return (await messageFrom(thread, TIMEOUT_MS, this.#clock)) as CheckAnswer;
    } catch (error) {
      this.close();
      return `it cannot be checked against the JSON Schema: ${(error as Error).message}`;
    }
  }

  async #start(): Promise<Worker> {
    const thread = new Worker(programFile("src/tasks/schema/check-program"), {
      name: "schemas",
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    });
    thread.unref();
    // An abandoned thread may still run out of memory, which no longer matters.
    thread.on("error", () => {});
    this.#thread = thread;
    await messageFrom(thread, START_TIMEOUT_MS, this.#clock);
    return thread;
  }
}

/** The next message of a thread. Rejects when the thread ends, or sends none in time. */
function messageFrom(thread: Worker, timeoutMs: number, clock: Clock): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const ended = (): void => reject(new Error("the thread has ended"));
  const tooLong = new Error(`it takes longer than ${timeoutMs / 1000} s`);
  const timer = clock.after(timeoutMs, () => reject(tooLong));
  thread.once("message", resolve).once("error", reject).once("exit", ended);
  return promise.finally(() => {
    timer.cancel();
    thread.off("message", resolve).off("error", reject).off("exit", ended);
  });
}
