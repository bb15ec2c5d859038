/** Runs the statements of one database file, in a thread. Gets a `SqlRequest`, and answers a `SqlAnswer`. */
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { parentPort, workerData } from "node:worker_threads";
import type { SqlAnswer, SqlRequest } from "./sqlite.ts";

/** How long a statement waits for another program's lock. */
const BUSY_MS = 5_000;

let database: DatabaseSync | null = null;
const statements = new Map<string, StatementSync>();

parentPort?.on("message", (request: SqlRequest) => {
  parentPort?.postMessage(answerTo(request));
});

function answerTo({ text, values, limit }: SqlRequest): SqlAnswer {
  try {
    database ??= new DatabaseSync(workerData as string, { timeout: BUSY_MS });
    let statement = statements.get(text);
    if (statement === undefined) {
      statement = database.prepare(text);
      statements.set(text, statement);
    }
    if (limit === null) {
      statement.run(values);
      return { rows: [] };
    }
    const rows: Record<string, unknown>[] = [];
    for (const row of statement.iterate(values)) if (rows.push(row) >= limit) break;
    return { rows };
  } catch (error) {
    return { error: (error as Error).message };
  }
}
