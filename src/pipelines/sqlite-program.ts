/**
 * Runs statements on one SQLite database, whose path is the argument, for a parent that can kill it: nothing else stops
 * a statement that never ends. Receives one `SqlRequest` at a time, and responds with an `SqlReply`.
 */
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import type { SqlReply, SqlRequest } from "./sqlite.ts";

const [, , file = ""] = process.argv;
const statements = new Map<string, StatementSync>();
let database: DatabaseSync | null = null;

process.on("message", (request: SqlRequest) => {
  process.send?.(answerTo(request) satisfies SqlReply);
});
process.on("disconnect", () => {
  database?.close();
  process.exit();
});

function answerTo({ text, values, maxRows, busyMs }: SqlRequest): SqlReply {
  try {
    database ??= new DatabaseSync(file, { timeout: busyMs });
    let statement = statements.get(text);
    if (statement === undefined) {
      statement = database.prepare(text);
      statements.set(text, statement);
    }
    const bound = boundTo(text, values);
    if (maxRows === null) {
      statement.run(bound);
      return { rows: [] };
    }
    const rows: Record<string, unknown>[] = [];
    for (const row of statement.iterate(bound)) if (rows.push(row) >= maxRows) break;
    return { rows };
  } catch (error) {
    return { error: (error as Error).message };
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
