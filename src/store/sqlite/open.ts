import { chmodSync, closeSync, existsSync, mkdirSync, openSync, renameSync, statSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync } from "node:sqlite";
import type { StoreSync } from "../../core/config.ts";
import { AssistantError, isAssistantError } from "../../core/errors.ts";
import { writeFailure } from "../../core/writing.ts";
import { isDamage, storeFailure } from "./failure.ts";

/** Another process may write: a command in addition to the daemon. */
const BUSY_TIMEOUT_MS = 5_000;
/** Files up to this size are checked page by page when they are opened, which takes about a second for it. */
const CHECKED_AT_START_BYTES = 256 * 2 ** 20;
const SQLITE_CORRUPT = 11;
const CACHE_KIB = 8_192;
const MAX_WAL_BYTES = 64 * 2 ** 20;

/**
 * The store's own tables, by version: each brings a file from the version before. Tables of collections follow their
 * specifications.
 */
const MIGRATIONS: readonly string[] = [
  "CREATE TABLE collections (name TEXT PRIMARY KEY, shape TEXT NOT NULL) STRICT;",
  `CREATE TABLE held (tenant TEXT NOT NULL, collection TEXT NOT NULL, records INTEGER NOT NULL, bytes INTEGER NOT NULL,
    PRIMARY KEY (tenant, collection)) STRICT, WITHOUT ROWID;`,
];

export interface OpenOptions {
  /** A daemon may have the file too: nothing is set aside. */
  readonly guest: boolean;
  readonly sync: StoreSync;
  readonly report: (problem: string) => void;
}

/**
 * Opens the file, or creates it, readable only by its owner. A damaged one is set aside under another name, which is
 * reported, and replaced by a new one. Throws `data_newer`, `not_writable` or `store_unavailable`.
 */
export function openDatabase(file: string, { guest, sync, report }: OpenOptions): DatabaseSync {
  try {
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    // SQLite gives its additional files the same mode.
    closeSync(openSync(file, "a", 0o600));
    chmodSync(file, 0o600);
  } catch (error) {
    throw writeFailure("store", file, error);
  }
  try {
    return opened(file, sync);
  } catch (error) {
    if (guest || !isDamage(error)) throw storeFailure(file, error);
    const aside = setAside(file);
    report(
      `The store ${file} was damaged (${(error as Error).message}). It was renamed to ${aside}, and an empty one was created: restore a backup with \`assistant store restore\`.`,
    );
    return opened(file, sync);
  }
}

function opened(file: string, sync: StoreSync): DatabaseSync {
  const database = new DatabaseSync(file, { timeout: BUSY_TIMEOUT_MS });
  try {
    database.exec(`
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = ${sync === "always" ? "FULL" : "NORMAL"};
      PRAGMA cache_size = -${CACHE_KIB};
      PRAGMA journal_size_limit = ${MAX_WAL_BYTES};
      PRAGMA temp_store = MEMORY;
    `);
    // Before anything is read of it: a damaged table can look like an empty one.
    if (statSync(file).size <= CHECKED_AT_START_BYTES) requireSound(database);
    try {
      migrate(database, file);
    } catch (error) {
      if (!isAssistantError(error)) requireSound(database);
      throw error;
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

function requireSound(database: DatabaseSync): void {
  const [problem] = problemsOf(database, 1);
  if (problem !== undefined) throw Object.assign(new Error(problem), { errcode: SQLITE_CORRUPT });
}

/** What SQLite finds wrong with the file. */
export function problemsOf(database: DatabaseSync, limit: number): string[] {
  const rows = database.prepare(`PRAGMA quick_check(${limit})`).all();
  return rows
    .map(({ quick_check: found }) => String(found).replace(/^\*\*\* in database main \*\*\*\n/, ""))
    .filter((found) => found !== "ok");
}

function migrate(database: DatabaseSync, file: string): void {
  database.exec(
    "CREATE TABLE IF NOT EXISTS versions (version INTEGER PRIMARY KEY, applied_at INTEGER NOT NULL) STRICT",
  );
  database.exec("BEGIN IMMEDIATE");
  try {
    const row = database.prepare("SELECT max(version) AS version FROM versions").get();
    const version = Number(row?.["version"] ?? 0);
    if (version > MIGRATIONS.length) {
      throw new AssistantError(
        "data_newer",
        `The store ${file} has format ${version}; this version reads formats up to ${MIGRATIONS.length}.`,
        { remedy: "Update Assistant, or move the file away to start without it." },
      );
    }
    for (const [index, script] of MIGRATIONS.entries()) {
      if (index < version) continue;
      database.exec(script);
      database.prepare("INSERT INTO versions VALUES (?, ?)").run(index + 1, Date.now());
    }
    database.exec("COMMIT");
  } catch (error) {
    if (database.isTransaction) database.exec("ROLLBACK");
    throw error;
  }
}

function setAside(file: string): string {
  const aside = `${file}.damaged-${new Date().toISOString().replaceAll(":", "-")}`;
  // What the write-ahead log holds belongs to the file, and must not be applied to the new one.
  for (const suffix of ["", "-wal", "-shm"]) if (existsSync(file + suffix)) renameSync(file + suffix, aside + suffix);
  return aside;
}
