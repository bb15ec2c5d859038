import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { AssistantError } from "../core/errors.ts";
import { programFile } from "../core/package.ts";

/** One statement for the process that has the database. */
export interface SqlRequest {
  readonly text: string;
  /** Those that the statement does not name are left out. */
  readonly values: Readonly<Record<string, unknown>>;
  /** Null: it is run for what it changes. */
  readonly maxRows: number | null;
  /** How long it waits for another program's lock. */
  readonly busyMs: number;
}

export type SqlReply = { readonly rows: readonly Record<string, unknown>[] } | { readonly error: string };

const PROGRAM = programFile("src/pipelines/sqlite-program");
const DEFAULT_TIMEOUT_S = 10;

/**
 * A database file of the user's, in a process that starts with the first statement and is ended by one that takes too
 * long.
 */
export class SqliteFile {
  readonly #file: string;
  readonly #timeoutMs: number;
  #process: ChildProcess | null = null;
  #last: Promise<unknown> = Promise.resolve();

  constructor(file: string, { timeout_s: seconds = DEFAULT_TIMEOUT_S }: { readonly timeout_s?: number } = {}) {
    this.#file = file;
    this.#timeoutMs = seconds * 1000;
  }

  /** The first rows of a query. Rejects with `stage_failed`. */
  rows(text: string, maxRows: number): Promise<readonly Record<string, unknown>[]> {
    return this.#run({ text, values: {}, maxRows });
  }

  /** Rejects with `stage_failed`, or with the reason of `signal` where that was aborted before its turn. */
  async change(text: string, values: SqlRequest["values"], signal?: AbortSignal): Promise<void> {
    await this.#run({ text, values, maxRows: null }, signal);
  }

  /** Waits for what was asked. */
  async close(): Promise<void> {
    await this.#last;
    const process = this.#process;
    this.#process = null;
    if (process === null) return;
    process.disconnect();
    await once(process, "exit");
  }

  #run(request: Omit<SqlRequest, "busyMs">, signal?: AbortSignal): Promise<readonly Record<string, unknown>[]> {
    const done = this.#last.then(() => {
      signal?.throwIfAborted();
      return this.#ask({ ...request, busyMs: this.#timeoutMs });
    });
    this.#last = done.catch(() => {});
    return done;
  }

  async #ask(request: SqlRequest): Promise<readonly Record<string, unknown>[]> {
    this.#process ??= this.#start();
    const { promise, resolve, reject } = Promise.withResolvers<SqlReply>();
    const process = this.#process;
    const ended = (): void => reject(this.#failed("its process exited"));
    process.once("message", resolve);
    process.once("exit", ended);
    const timer = setTimeout(() => {
      reject(this.#failed(`the statement took longer than ${this.#timeoutMs / 1000} s`));
      this.#lose(process);
    }, this.#timeoutMs);
    try {
      process.send(request, (error) => {
        if (error !== null) reject(this.#failed(error.message));
      });
      const reply = await promise;
      if ("error" in reply) throw this.#failed(reply.error);
      return reply.rows;
    } finally {
      clearTimeout(timer);
      process.off("message", resolve);
      process.off("exit", ended);
    }
  }

  #start(): ChildProcess {
    const process = fork(PROGRAM, [this.#file], { serialization: "advanced", env: {}, execArgv: [] });
    process.once("error", () => this.#lose(process));
    process.once("exit", () => this.#lose(process));
    return process;
  }

  #lose(process: ChildProcess): void {
    if (this.#process === process) this.#process = null;
    process.kill("SIGKILL");
  }

  #failed(what: string): AssistantError {
    return new AssistantError("stage_failed", `The database ${this.#file}: ${what}.`);
  }
}
