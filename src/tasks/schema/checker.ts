import { Worker } from "node:worker_threads";
import type { JsonObject } from "../../core/inference.ts";
import { programFile } from "../../core/package.ts";

export interface CheckRequest {
  readonly schema: JsonObject;
  /** Null: whether the schema can be used. */
  readonly text: string | null;
}

export interface CheckAnswer {
  /** Null: there is none. */
  readonly problem: string | null;
}

interface Thread {
  readonly worker: Worker;
  /** Answers the check that it is at; null: it is at none. */
  settle: ((problem: string | null) => void) | null;
}

const TIMEOUT_MS = 5_000;
const HEAP_MIB = 128;
const program = programFile("src/tasks/schema/check-program");

/** Checks answers against JSON Schemas, one at a time, in a thread that starts with the first and is ended when it takes too long. */
export class SchemaChecker {
  readonly #timeoutMs: number;
  #thread: Thread | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor({ timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {}) {
    this.#timeoutMs = timeoutMs;
  }

  /** What is wrong with the text, or with the schema; null: nothing. */
  check(schema: JsonObject, text: string | null): Promise<string | null> {
    const checked = this.#last.then(() => this.#ask({ schema, text }));
    this.#last = checked;
    return checked;
  }

  async close(): Promise<void> {
    await this.#thread?.worker.terminate();
  }

  #ask(request: CheckRequest): Promise<string | null> {
    const thread = this.#thread ?? this.#start();
    return new Promise((resolve) => {
      const timer = setTimeout(
        () => this.#give(thread, `checking it against the JSON Schema takes longer than ${this.#timeoutMs / 1000} s`),
        this.#timeoutMs,
      );
      thread.settle = (problem) => {
        clearTimeout(timer);
        thread.settle = null;
        resolve(problem);
      };
      thread.worker.postMessage(request);
    });
  }

  #start(): Thread {
    const worker = new Worker(program, { name: "schemas", resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB } });
    const thread: Thread = { worker, settle: null };
    worker.unref();
    worker.on("message", ({ problem }: CheckAnswer) => thread.settle?.(problem));
    worker.once("error", (error) => this.#give(thread, `it cannot be checked: ${error.message}`));
    worker.once("exit", () => this.#give(thread, "the thread that checks it has ended"));
    this.#thread = thread;
    return thread;
  }

  /** Answers what it was asked, and ends it: the next check starts another one. */
  #give(thread: Thread, problem: string): void {
    if (this.#thread === thread) this.#thread = null;
    thread.settle?.(problem);
    void thread.worker.terminate();
  }
}
