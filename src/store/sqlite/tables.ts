import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { FieldValue, Holding, HoldingLimits, Write } from "../../core/store.ts";
import type { Exceeded, RawCommit, RawListQuery, RawQuery, RawRecord } from "../records.ts";
import { indexedFields } from "../records.ts";
import { heldSize, holdingSql } from "./holding.ts";
import { columnOf, identifier, tableOf } from "./names.ts";
import type { CollectionShape } from "./protocol.ts";

/** A page holds no more than this of values, beyond its first record. */
const MAX_PAGE_BYTES = 4 * 2 ** 20;
const RECORD_COLUMNS = "position, id, tenant, revision, created_at, updated_at, expires_at, json";
const ALIVE = "(expires_at IS NULL OR expires_at > ?)";

type Row = Readonly<Record<string, string | number | null>>;

/** One table for each collection, with a column for each field that an index names. All calls are synchronous. */
export class Tables {
  readonly #database: DatabaseSync;
  readonly #shapes = new Map<string, CollectionShape>();
  /** By their text. */
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync) {
    this.#database = database;
    // Also those that this process never names: their records keep blobs, and expire.
    for (const { shape } of database.prepare("SELECT shape FROM collections").all()) {
      const known = JSON.parse(String(shape)) as CollectionShape;
      this.#shapes.set(known.name, known);
    }
  }

  /** Makes the collection's table, or adds to it what it lacks. */
  define(shape: CollectionShape): null {
    const text = JSON.stringify(shape);
    const known = this.#shapes.get(shape.name);
    if (known !== undefined && JSON.stringify(known) === text) return null;
    if (!/^[a-z][a-z0-9_]{0,39}$/.test(shape.name)) throw new TypeError(`${shape.name} is no name for a collection.`);
    const database = this.#database;
    const table = tableOf(shape.name);
    database.exec(`CREATE TABLE IF NOT EXISTS ${table} (
      position INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, tenant TEXT NOT NULL,
      revision INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, expires_at INTEGER,
      json TEXT NOT NULL) STRICT`);
    const columns = new Set(
      database
        .prepare(`PRAGMA table_info(${table})`)
        .all()
        .map(({ name }) => name),
    );
    for (const field of fieldsOf(shape)) {
      if (columns.has(`f_${field}`)) continue;
      database.exec(`ALTER TABLE ${table} ADD COLUMN ${columnOf(field)} ANY`);
      database.exec(`UPDATE ${table} SET ${columnOf(field)} = json_extract(json, '$.${identifier(field)}')`);
    }
    this.#index(shape.name, ["expires_at"]);
    for (const fields of Object.values(shape.indexes)) this.#index(shape.name, fields.map(columnOf));
    if (shape.blob !== undefined) this.#index(shape.name, [columnOf(shape.blob)]);
    if (shape.held === true) database.exec(holdingSql(shape));
    this.#run("INSERT OR REPLACE INTO collections VALUES (?, ?)", [shape.name, text]);
    this.#shapes.set(shape.name, shape);
    this.#statements.clear();
    return null;
  }

  /** Must run within a transaction. Checks all expectations and limits before it changes anything. */
  commit(writes: readonly Write[], limits: HoldingLimits, now: number): RawCommit {
    for (const [index, { collection, id, expect }] of writes.entries())
      if (expect !== null && this.#revision(collection, id, now) !== expect) return { ok: false, failed: index };
    for (const [tenant, limit] of Object.entries(limits)) {
      const exceeded = this.#exceeded(writes, tenant, limit);
      if (exceeded !== null) return { ok: false, exceeded };
    }
    return { ok: true, revisions: writes.map((write) => this.#apply(write, now)) };
  }

  get(collection: string, id: string, now: number): RawRecord | null {
    const sql = `SELECT ${RECORD_COLUMNS} FROM ${tableOf(collection)} WHERE id = ? AND ${ALIVE}`;
    const row = this.#prepare(sql).get(id, now);
    return row === undefined ? null : recordOf(row as Row);
  }

  list(query: RawListQuery, now: number): { records: RawRecord[]; more: boolean } {
    const { descending, limit, after, fields, equals } = query;
    const { conditions, values } = conditionsOf(query, now);
    const ordering = [...fields.slice(equals.length).map(columnOf), "position"];
    if (after !== null) {
      conditions.push(`(${ordering.join(", ")}) ${descending ? "<" : ">"} (${ordering.map(() => "?").join(", ")})`);
      values.push(...after);
    }
    const direction = descending ? " DESC" : "";
    const order = ordering.map((column) => column + direction).join(", ");
    const sql = `SELECT ${RECORD_COLUMNS} FROM ${tableOf(query.collection)} WHERE ${conditions.join(" AND ")} ORDER BY ${order} LIMIT ?`;
    const records: RawRecord[] = [];
    let bytes = 0;
    for (const row of this.#prepare(sql).iterate(...values, limit + 1)) {
      const record = recordOf(row as Row);
      bytes += record.json.length;
      if (records.length === limit || (records.length > 0 && bytes > MAX_PAGE_BYTES)) return { records, more: true };
      records.push(record);
    }
    return { records, more: false };
  }

  count(query: RawQuery, now: number): number {
    const { conditions, values } = conditionsOf(query, now);
    const sql = `SELECT count(*) AS total FROM ${tableOf(query.collection)} WHERE ${conditions.join(" AND ")}`;
    return Number(this.#prepare(sql).get(...values)?.["total"]);
  }

  heldBy(tenant: string): Holding {
    const sql =
      "SELECT coalesce(sum(records), 0) AS records, coalesce(sum(bytes), 0) AS bytes FROM held WHERE tenant = ?";
    const row = this.#prepare(sql).get(tenant);
    return { records: Number(row?.["records"]), bytes: Number(row?.["bytes"]) };
  }

  hasRecordsOf(tenant: string, except: readonly string[], now: number): boolean {
    return this.#namesWithout(except).some((name) => {
      const sql = `SELECT 1 FROM ${tableOf(name)} WHERE tenant = ? AND ${ALIVE} LIMIT 1`;
      return this.#prepare(sql).get(tenant, now) !== undefined;
    });
  }

  /** Must run within a transaction. */
  removeRecordsOf(tenant: string, except: readonly string[], limit: number): number {
    return this.#removeSome(this.#namesWithout(except), "tenant = ?", tenant, limit);
  }

  /** Must run within a transaction. */
  expire(limit: number, now: number): number {
    return this.#removeSome(this.#namesWithout([]), "expires_at <= ?", now, limit);
  }

  unreferenced(digests: readonly string[]): string[] {
    const holders = [...this.#shapes.values()].flatMap(({ name, blob }) =>
      blob === undefined ? [] : [{ name, blob }],
    );
    return digests.filter((digest) =>
      holders.every(({ name, blob }) => {
        const sql = `SELECT 1 FROM ${tableOf(name)} WHERE ${columnOf(blob)} = ? LIMIT 1`;
        return this.#prepare(sql).get(digest) === undefined;
      }),
    );
  }

  #namesWithout(except: readonly string[]): string[] {
    return [...this.#shapes.keys()].filter((name) => !except.includes(name));
  }

  /** What the writes would have a tenant hold too much of; null: they leave it within its limit, or add nothing. */
  #exceeded(writes: readonly Write[], tenant: string, limit: Holding): Exceeded | null {
    let records = 0;
    let bytes = 0;
    for (const write of writes) {
      const shape = this.#shape(write.collection);
      if (shape.held !== true || write.op === "require") continue;
      if (write.op === "put" && write.tenant === tenant) {
        records += 1;
        bytes += write.heldBytes;
      }
      const sql = `SELECT ${heldSize(shape, "c")} AS bytes FROM ${tableOf(shape.name)} AS c WHERE id = ? AND tenant = ?`;
      const before = this.#prepare(sql).get(write.id, tenant);
      if (before === undefined) continue;
      records -= 1;
      bytes -= Number(before["bytes"]);
    }
    if (records <= 0 && bytes <= 0) return null;
    const held = this.heldBy(tenant);
    const isTooMuch =
      (records > 0 && held.records + records > limit.records) || (bytes > 0 && held.bytes + bytes > limit.bytes);
    return isTooMuch ? { tenant, held, limit } : null;
  }

  /** At most so many of the records that the condition holds of; returns how many. */
  #removeSome(collections: readonly string[], condition: string, value: FieldValue, limit: number): number {
    let removed = 0;
    for (const name of collections) {
      const table = tableOf(name);
      const some = `SELECT position FROM ${table} WHERE ${condition} LIMIT ?`;
      const { changes } = this.#run(`DELETE FROM ${table} WHERE position IN (${some})`, [value, limit - removed]);
      removed += Number(changes);
      if (removed >= limit) break;
    }
    return removed;
  }

  #apply(write: Write, now: number): number {
    const table = tableOf(write.collection);
    switch (write.op) {
      case "require":
        return write.expect ?? 0;
      case "remove":
        this.#run(`DELETE FROM ${table} WHERE id = ?`, [write.id]);
        return 0;
      case "put": {
        const { id, tenant, json, fields, expiresAt } = write;
        // A record that has expired is not changed: another one takes its id.
        this.#run(`DELETE FROM ${table} WHERE id = ? AND expires_at <= ?`, [id, now]);
        const columns = fieldsOf(this.#shape(write.collection)).map(columnOf);
        const changed = ["tenant", "updated_at", "expires_at", "json", ...columns];
        const sql = `INSERT INTO ${table} (id, revision, created_at, ${changed.join(", ")})
          VALUES (?, 1, ?, ${changed.map(() => "?").join(", ")})
          ON CONFLICT (id) DO UPDATE SET revision = revision + 1, ${changed.map((column) => `${column} = excluded.${column}`).join(", ")}
          RETURNING revision`;
        const row = this.#prepare(sql).get(id, now, tenant, now, expiresAt, json, ...fields);
        return Number(row?.["revision"]);
      }
    }
  }

  /** 0 where there is none. */
  #revision(collection: string, id: string, now: number): number {
    const sql = `SELECT revision FROM ${tableOf(collection)} WHERE id = ? AND ${ALIVE}`;
    return Number(this.#prepare(sql).get(id, now)?.["revision"] ?? 0);
  }

  #shape(collection: string): CollectionShape {
    const shape = this.#shapes.get(collection);
    if (shape === undefined) throw new TypeError(`The collection ${collection} is not defined.`);
    return shape;
  }

  #index(collection: string, columns: readonly string[]): void {
    const name = identifier(`i_${collection}_${columns.map((column) => column.replaceAll('"', "")).join("_")}`);
    const present = columns.map((column) => `${column} IS NOT NULL`).join(" AND ");
    this.#database.exec(
      `CREATE INDEX IF NOT EXISTS "${name}" ON ${tableOf(collection)} (${columns.join(", ")}) WHERE ${present}`,
    );
  }

  #run(sql: string, values: readonly (FieldValue | null)[]): ReturnType<StatementSync["run"]> {
    return this.#prepare(sql).run(...values);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

/** A record that lacks a field of the index is not in it. */
function conditionsOf(
  { fields, equals, from, below }: RawQuery,
  now: number,
): { conditions: string[]; values: FieldValue[] } {
  const columns = fields.map(columnOf);
  const conditions = columns.map((column, index) =>
    index < equals.length ? `${column} = ?` : `${column} IS NOT NULL`,
  );
  const values = [...equals];
  const next = columns[equals.length];
  for (const [operator, bound] of [
    [">=", from],
    ["<", below],
  ] as const) {
    if (bound === null || next === undefined) continue;
    conditions.push(`${next} ${operator} ?`);
    values.push(bound);
  }
  conditions.push(ALIVE);
  values.push(now);
  return { conditions, values };
}

const recordOf = (row: Row): RawRecord => ({
  id: row["id"] as string,
  tenant: row["tenant"] as string,
  revision: row["revision"] as number,
  position: row["position"] as number,
  createdAt: row["created_at"] as number,
  updatedAt: row["updated_at"] as number,
  expiresAt: row["expires_at"] as number | null,
  json: row["json"] as string,
});

const fieldsOf = (shape: CollectionShape): string[] => indexedFields(shape as Parameters<typeof indexedFields>[0]);
