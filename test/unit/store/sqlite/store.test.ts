import { existsSync } from "node:fs";
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SqliteStore } from "../../../../src/store/sqlite/store.ts";
import { storeSuite } from "../../../support/store-suite.ts";

const report = (problem: string): never => {
  throw new Error(problem);
};

storeSuite(
  "SQLite",
  async (directory, clock) => new SqliteStore({ directory: join(directory, "store"), report, clock }),
);

describe("the file", () => {
  let folder: string;
  let directory: string;
  let file: string;
  let reports: string[];
  const stores: SqliteStore[] = [];
  const opened = (guest = false): SqliteStore => {
    const store = new SqliteStore({ directory, guest, report: (problem) => reports.push(problem) });
    stores.push(store);
    return store;
  };
  const notes = (store: SqliteStore) => store.collection<{ text: string }>({ name: "notes", indexes: {} });
  const write = async (store: SqliteStore, id: string, text = id): Promise<void> => {
    await store.commit([notes(store).put(id, { text }, { tenant: "x" })]);
  };
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "assistant-store-"));
    directory = join(folder, "store");
    file = join(directory, "records.db");
    reports = [];
  });
  afterEach(async () => {
    for (const store of stores.splice(0)) await store.close();
    await rm(folder, { recursive: true, force: true });
  });

  test("is made with the first write, for its owner alone", async () => {
    const store = opened();
    await notes(store).get("a");
    expect(existsSync(directory)).toBe(false);
    await write(store, "a");
    for (const name of ["", "-wal", "-shm"]) expect((await stat(file + name)).mode & 0o077).toBe(0);
    expect((await stat(directory)).mode & 0o077).toBe(0);
  });

  test("of a newer version is refused and left alone", async () => {
    await write(opened(), "a");
    await stores[0]?.close();
    const database = new DatabaseSync(file);
    database.exec("INSERT INTO versions VALUES (99, 0)");
    database.close();
    await expect(notes(opened()).get("a")).rejects.toMatchObject({
      code: "data_newer",
      message: expect.stringContaining("99"),
    });
    expect(await readdir(directory)).toEqual(["records.db"]);
  });

  test.each(["no database", "damaged within", "damaged where its versions are"])(
    "that is %s is set aside whole, reported, and replaced",
    async (damage) => {
      const store = opened();
      for (let index = 0; index < 200; index++) void write(store, `note-${index}`, "x".repeat(1_000));
      await write(store, "last");
      await store.close();
      if (damage === "no database")
        await writeFile(file, "this is no database at all, and long enough to see it".repeat(50));
      else {
        const handle = await open(file, "r+");
        if (damage === "damaged within") await handle.write(Buffer.alloc(40_000, 0x5a), 0, 40_000, 8_192);
        else await handle.write(Buffer.alloc(30, 0x5a), 0, 30, 4_100);
        await handle.close();
      }
      const content = await readFile(file);
      const next = opened();
      expect(await notes(next).get("last")).toBeNull();
      await write(next, "new");
      expect(await notes(next).get("new")).not.toBeNull();
      const aside = (await readdir(directory)).find((name) => name.includes("damaged")) ?? "";
      expect(content.equals(await readFile(join(directory, aside)))).toBe(true);
      expect(reports).toEqual([expect.stringContaining(aside)]);
      expect(next.problems).toEqual([expect.stringContaining(aside)]);
    },
  );

  test("that is damaged is an error for a guest, and stays", async () => {
    await write(opened(), "a");
    await stores[0]?.close();
    await writeFile(file, "x".repeat(5_000));
    await expect(opened(true).check()).rejects.toMatchObject({ code: "store_unavailable" });
    expect(await readdir(directory)).toEqual(["records.db"]);
  });

  test("is sound, and a copy has what was written before it, while others write", async () => {
    const store = opened();
    await write(store, "a");
    const guest = opened(true);
    const copy = join(folder, "copy", "records.db");
    const other = new SqliteStore({ directory: join(folder, "copy"), report });
    stores.push(other);
    await rm(join(folder, "copy"), { recursive: true, force: true });
    await write(other, "x").then(() => other.close());
    await rm(copy, { force: true });
    const writing = Promise.all(Array.from({ length: 50 }, (_, index) => write(store, `later-${index}`)));
    await guest.copyTo(copy);
    await writing;
    expect(await guest.check()).toEqual([]);
    const restored = new SqliteStore({ directory: join(folder, "copy"), report });
    stores.push(restored);
    expect((await notes(restored).get("a"))?.value.text).toBe("a");
  });
});
