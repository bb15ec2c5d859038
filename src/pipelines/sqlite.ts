import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { AssistantError } from "../core/errors.ts";

/** How long a statement waits for another program's lock. The daemon waits with it. */
const BUSY_MS = 250;

/** A database file of the user's. Statements are prepared once. */
export class SqliteFile {
  readonly #file: string;
  readonly #statements = new Map<string, StatementSync>();
  #database: DatabaseSync | null = null;

  constructor(file: string) {
    this.#file = file;
  }

  /** The rows of a query. `values` that the statement does not name are left out. Throws `stage_failed`. */
  rows(text: string, values: Readonly<Record<string, unknown>> = {}): Record<string, unknown>[] {
    return this.#run(text, (statement) => statement.all(boundTo(text, values)));
  }

  /** Throws `stage_failed`. */
  change(text: string, values: Readonly<Record<string, unknown>>): void {
    this.#run(text, (statement) => statement.run(boundTo(text, values)));
  }

  close(): void {
    this.#database?.close();
    this.#database = null;
    this.#statements.clear();
  }

  #run<Result>(text: string, action: (statement: StatementSync) => Result): Result {
    try {
      this.#database ??= new DatabaseSync(this.#file, { timeout: BUSY_MS });
      let statement = this.#statements.get(text);
      if (statement === undefined) {
        statement = this.#database.prepare(text);
        this.#statements.set(text, statement);
      }
      return action(statement);
    } catch (error) {
      throw new AssistantError("stage_failed", `The database ${this.#file}: ${(error as Error).message}.`, {
        cause: error,
      });
    }
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
