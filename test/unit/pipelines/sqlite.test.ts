import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { SqliteFile } from "../../../src/pipelines/sqlite.ts";

const LONG = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) SELECT max(i) FROM n";
let folder: string;
let file: SqliteFile;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-sql-"));
  file = new SqliteFile(join(folder, "log.db"), { timeoutMs: 5_000 });
  await file.change("CREATE TABLE log (value, user)", {});
});
afterAll(async () => {
  file.close();
  await rm(folder, { recursive: true, force: true });
});

test("a statement gets the values that it names, and a query no more rows than are wanted", async () => {
  for (const value of ["one", { two: 2 }, null])
    await file.change("INSERT INTO log VALUES (:value, :user)", { value, user: "anna", unnamed: 1 });
  expect(await file.rows("SELECT value, user FROM log ORDER BY rowid", 2)).toEqual([
    { value: "one", user: "anna" },
    { value: '{"two":2}', user: "anna" },
  ]);
});

test("a wrong statement is an error that names the database", async () => {
  await expect(file.rows("SELECT * FROM missing", 1)).rejects.toMatchObject({
    code: "stage_failed",
    message: expect.stringContaining("log.db: no such table: missing"),
  });
});

test("a statement that takes too long fails, and the next one works", async () => {
  const impatient = new SqliteFile(join(folder, "log.db"), { timeoutMs: 50 });
  await expect(impatient.rows(LONG, 1)).rejects.toMatchObject({
    message: expect.stringContaining("longer than 0.05 s"),
  });
  impatient.close();
  expect(await file.rows("SELECT 1 AS one", 1)).toEqual([{ one: 1 }]);
});
