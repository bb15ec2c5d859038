/** Preloaded into a daemon: each commit to SQLite takes as long as on a disk whose syncs take `BENCH_SYNC_MS`. */
import { DatabaseSync } from "node:sqlite";

const syncMs = Number(process.env["BENCH_SYNC_MS"]);
const cell = new Int32Array(new SharedArrayBuffer(4));
const { exec } = DatabaseSync.prototype;
const writing = new WeakSet<DatabaseSync>();

DatabaseSync.prototype.exec = function (this: DatabaseSync, sql: string): void {
  exec.call(this, sql);
  if (sql === "BEGIN IMMEDIATE") writing.add(this);
  if (sql === "COMMIT" && writing.delete(this)) Atomics.wait(cell, 0, 0, syncMs);
};
