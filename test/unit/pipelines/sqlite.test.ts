import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SqliteFile } from "../../../src/pipelines/sqlite.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sqlite-"));
});
afterAll(async () => await rm(folder, { recursive: true }));

const ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) AS x FROM n";

test("a statement without an end is ended and holds up nobody; the next one is answered", async () => {
  const file = new SqliteFile(join(folder, "a.db"), { timeout_s: 2 });
  let turns = 0;
  const turning = setInterval(() => (turns += 1), 1);
  await expect(file.rows(ENDLESS, 1)).rejects.toThrow("the statement took longer than 2 s");
  clearInterval(turning);
  expect(turns).toBeGreaterThan(10);
  expect(await file.rows("SELECT 7 AS x", 1)).toEqual([{ x: 7 }]);
  await file.close();
});

test("bytes and objects are kept, rows are read as far as they are wanted, and mistakes are named", async () => {
  const file = new SqliteFile(join(folder, "b.db"));
  await file.change("CREATE TABLE t (a, b)", {});
  await file.change("INSERT INTO t VALUES (:a, :b)", { a: new Uint8Array([1, 255]), b: { c: 1 }, other: 0 });
  await file.change("INSERT INTO t VALUES (:a, :b)", { a: null, b: 2 });
  const [first, ...more] = await file.rows("SELECT * FROM t", 1);
  expect(first).toEqual({ a: new Uint8Array([1, 255]), b: '{"c":1}' });
  expect(more).toEqual([]);
  await expect(file.rows("SELEC", 1)).rejects.toThrow(/b\.db: near "SELEC": syntax error/);
  await file.close();
});

test("a request that was cancelled before its turn changes nothing", async () => {
  const file = new SqliteFile(join(folder, "c.db"));
  const ending = new AbortController();
  const first = file.change("CREATE TABLE t (a)", {});
  const second = file.change("INSERT INTO t VALUES (1)", {}, ending.signal);
  ending.abort(new Error("the client left"));
  await expect(second).rejects.toThrow("the client left");
  await first;
  expect(await file.rows("SELECT * FROM t", 5)).toEqual([]);
  await file.close();
});
