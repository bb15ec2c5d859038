import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import type { CollectionSpec, Store, Write } from "../../../src/core/store.ts";
import { Objects } from "../../../src/objects/objects.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";

const DAY_MS = 86_400_000;

let directory: string;
let store: SqliteStore;
let objects: Objects;
let passedMs = 0;
let keepMs = DAY_MS;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "assistant-objects-"));
  store = new SqliteStore({ directory, report: () => {}, clock: { now: () => Date.now() + passedMs } });
  objects = new Objects(
    store,
    () => ({ limitBytes: 1_000, keepMs }),
    (json) => json.length > 100,
  );
});
afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const make = (key: string, ttlMs: number | null = null) =>
  objects.create("kim", key, "bytes", Readable.from([Buffer.from(key)]), ttlMs);

test("an object is kept as long as the settings have it, or as it was asked for, and then its content is deleted", async () => {
  const [short, usual] = [await make("short", 1_000), await make("usual")];
  expect(short.expires_at).toBeCloseTo(short.created_at + 1, 3);
  expect(usual.expires_at).toBeCloseTo(usual.created_at + DAY_MS / 1000, 3);
  keepMs = 0;
  expect((await make("for ever")).expires_at).toBeNull();
  passedMs = 2_000;
  await expect(objects.ref("kim", "short")).rejects.toMatchObject({ code: "object_not_found" });
  expect((await objects.list("kim", { limit: 10, after: null })).objects.map(({ key }) => key)).toEqual([
    "for ever",
    "usual",
  ]);
  passedMs = 2 * DAY_MS;
  expect(await store.sweep()).toEqual({ records: 2, blobs: 2 });
  expect((await store.heldBy("kim")).records).toBe(1);
});

test("a list goes on after an object that was deleted meanwhile", async () => {
  for (const key of ["a", "b", "c", "d"]) await objects.create("pat", key, "bytes", Readable.from([Buffer.from(key)]));
  const keys = async (after: string | null): Promise<string[]> =>
    (await objects.list("pat", { limit: 2, after })).objects.map(({ key }) => key);
  expect(await keys(null)).toEqual(["a", "b"]);
  expect(await keys("b")).toEqual(["c", "d"]);
  await objects.delete("pat", "b");
  expect(await keys("b")).toEqual(["c", "d"]);
  await expect(keys("\n")).rejects.toMatchObject({ code: "object_not_found" });
});

test("JSON that a parser would choke on is refused before one sees it", async () => {
  const sent = (length: number): Promise<unknown> =>
    objects.create("kim", null, "json", Readable.from([Buffer.from(JSON.stringify(Array(length).fill(1)))]));
  await sent(40);
  await expect(sent(60)).rejects.toMatchObject({ code: "invalid_json" });
});

test("an object that is replaced while old ones are deleted stays", async () => {
  const shadow = {
    blobs: store.blobs,
    commit: (writes: readonly Write[]) => store.commit(writes),
    collection: (given: CollectionSpec<object>) => {
      const records = store.collection(given);
      return {
        put: (...args: Parameters<typeof records.put>) => records.put(...args),
        remove: (...args: Parameters<typeof records.remove>) => records.remove(...args),
        list: async (query: Parameters<typeof records.list>[0]) => {
          const page = await records.list(query);
          if (page.records.length === 1) await replaced();
          return page;
        },
      };
    },
  } as unknown as Store;
  const replaced = (): Promise<unknown> =>
    objects.create("lee", "report", "bytes", Readable.from([Buffer.from("new")]));
  const old = await objects.create("lee", "report", "bytes", Readable.from([Buffer.from("old")]));
  const now = old.created_at * 1_000 + 1;
  await vi.waitUntil(() => Date.now() > now, { interval: 1 });
  const other = new Objects(
    shadow,
    () => ({ limitBytes: 1_000, keepMs: 0 }),
    () => false,
  );
  expect(await other.cleanup("lee", 0, now)).toBe(0);
  expect((await objects.ref("lee", "report")).created_at).toBeGreaterThan(old.created_at);
});
