import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { Collection, Holding } from "../../../src/core/store.ts";
import { DiskFloor } from "../../../src/store/disk-floor.ts";
import { LimitedStore } from "../../../src/store/limited.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";

interface Note {
  readonly text: string;
}

let directory: string;
let sqlite: SqliteStore;
let limit: Holding | null;
let floorBytes: number;
let store: LimitedStore;
let notes: Collection<Note>;
let tenant: string;
let number = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "assistant-limited-"));
  sqlite = new SqliteStore({ directory, report: () => {} });
});
beforeEach(() => {
  limit = { records: 2, bytes: 1_000 };
  floorBytes = 0;
  tenant = `key ${number++}`;
  store = new LimitedStore(sqlite, {
    limitOf: () => limit,
    disk: new DiskFloor(directory, () => floorBytes),
  });
  notes = store.collection<Note>({ name: "notes", indexes: {}, held: true });
});
afterAll(async () => {
  await sqlite.close();
  await rm(directory, { recursive: true, force: true });
});

const keep = (id: string, beyondLimits = false): Promise<unknown> =>
  store.commit([notes.put(`${tenant} ${id}`, { text: "x" }, { tenant, beyondLimits })]);
async function* content(pieces: number, bytes: number, taken?: () => void): AsyncGenerator<Uint8Array> {
  for (let piece = 0; piece < pieces; piece++) {
    taken?.();
    yield new Uint8Array(bytes).fill(piece);
  }
}

test("what is new is refused past the limit", async () => {
  await keep("a");
  await keep("b");
  await expect(keep("c")).rejects.toMatchObject({
    code: "storage_quota_exceeded",
    status: 400,
    message: expect.stringContaining("2 records (max_stored_records)"),
  });
});

test("what was accepted before is kept past the limit", async () => {
  await keep("a");
  await keep("b");
  await keep("answer", true);
  expect((await store.heldBy(tenant)).records).toBe(3);
});

test("there is room until the limit is reached", async () => {
  await keep("a");
  await store.requireRoom(tenant);
  await keep("b");
  await expect(store.requireRoom(tenant)).rejects.toMatchObject({ code: "storage_quota_exceeded" });
});

test("who has no limit stores what the disk holds", async () => {
  limit = null;
  for (const id of ["a", "b", "c"]) await keep(id);
  await store.requireRoom(tenant);
  expect((await store.heldBy(tenant)).records).toBe(3);
});

test("a content is refused as soon as it is more than there is room for", async () => {
  let pieces = 0;
  const writing = store.blobs.write(
    content(100, 300, () => {
      pieces += 1;
    }),
    { maxBytes: 100_000, tenant },
  );
  await expect(writing).rejects.toMatchObject({ code: "storage_quota_exceeded" });
  expect(pieces).toBe(4);
});

test("contents that come at once share what room there is", async () => {
  const write = (): Promise<unknown> => store.blobs.write(content(6, 100), { maxBytes: 100_000, tenant });
  const results = await Promise.allSettled([write(), write()]);
  expect(results.map(({ status }) => status)).toContain("rejected");
  // Nothing of them is counted any more.
  await write();
});

test("a content that belongs to nobody's room is never refused", async () => {
  expect(await store.blobs.write(content(10, 300), { maxBytes: 100_000, tenant: null })).toMatchObject({
    bytes: 3_000,
  });
});

test("below the free room that is kept, nothing new is stored for anybody", async () => {
  limit = null;
  floorBytes = Number.MAX_SAFE_INTEGER;
  const refusal = { code: "disk_full", status: 507, message: expect.stringContaining("min_free_disk_mib") };
  await expect(keep("a")).rejects.toMatchObject(refusal);
  await expect(store.requireRoom(tenant)).rejects.toMatchObject(refusal);
  await expect(store.blobs.write(content(1, 1), { maxBytes: 10, tenant })).rejects.toMatchObject(refusal);
});

test("below it, what was accepted before is still kept, and things can be deleted", async () => {
  await keep("a");
  floorBytes = Number.MAX_SAFE_INTEGER;
  await keep("answer", true);
  await store.commit([notes.remove(`${tenant} a`)]);
  expect((await store.heldBy(tenant)).records).toBe(1);
});
