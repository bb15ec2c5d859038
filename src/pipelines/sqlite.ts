import type { SQLInputValue } from "node:sqlite";
import { AssistantError } from "../core/errors.ts";
import { TimedThread } from "../core/timed-thread.ts";

export interface SqlRequest {
  readonly text: string;
  readonly values: Readonly<Record<string, SQLInputValue>>;
  /** Most rows of the answer; null: the statement changes something, and none are wanted. */
  readonly limit: number | null;
}

export type SqlAnswer = { readonly rows: Record<string, unknown>[] } | { readonly error: string };

const TIMEOUT_MS = 10_000;
const PROGRAM = "src/pipelines/sql-program";

/** A database file of the user's, in a thread of its own: neither a long statement nor another program's lock holds up the daemon. */
export class SqliteFile {
  readonly #file: string;
  readonly #thread: TimedThread<SqlRequest, SqlAnswer>;

  constructor(file: string, { timeoutMs = TIMEOUT_MS }: { readonly timeoutMs?: number } = {}) {
    this.#file = file;
    this.#thread = new TimedThread({ program: PROGRAM, name: "sql", timeoutMs, data: file });
  }

  /** The first rows of a query. Throws `stage_failed`. */
  rows(text: string, limit: number): Promise<Record<string, unknown>[]> {
    return this.#run({ text, values: {}, limit });
  }

  /** `values` that the statement does not name are left out. Throws `stage_failed`. */
  async change(text: string, values: Readonly<Record<string, unknown>>): Promise<void> {
    await this.#run({ text, values: boundTo(text, values), limit: null });
  }

  close(): void {
    this.#thread.close();
  }

  async #run(request: SqlRequest): Promise<Record<string, unknown>[]> {
    const answer = await this.#thread.ask(request).catch((error: Error): SqlAnswer => ({ error: error.message }));
    if ("rows" in answer) return answer.rows;
    throw new AssistantError("stage_failed", `The database ${this.#file}: ${answer.error}.`);
  }
}

/** The values of the parameters that a statement names, as SQLite keeps them. */
function boundTo(text: string, values: Readonly<Record<string, unknown>>): Record<string, SQLInputValue> {
  const names = new Set([...text.matchAll(/[:@$](\w+)/g)].map(([, name = ""]) => name));
  return Object.fromEntries(
    Object.entries(values)
      .filter(([name]) => names.has(name))
      .map(([name, value]) => [name, storable(value)]),
  );
}

function storable(value: unknown): SQLInputValue {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "number" || typeof value === "bigint") return value;
  return value instanceof Uint8Array ? value : JSON.stringify(value);
}
