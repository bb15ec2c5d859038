import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { AssistantError } from "../../../src/core/errors.ts";
import type { FinishedRequest } from "../../../src/core/request.ts";
import type { Store, Write } from "../../../src/core/store.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";
import { UsageLedger, usageCollection } from "../../../src/telemetry/usage.ts";
import { documentsIn } from "../../support/store.ts";

const NOON = Date.UTC(2027, 0, 31, 12);
const DAY_MS = 86_400_000;

let folder: string;
let file: string;
let store: SqliteStore;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "assistant-usage-"));
  file = join(folder, "usage.json");
  reopen();
});
afterEach(async () => {
  await store.close();
  await rm(folder, { recursive: true, force: true });
});

function reopen(): void {
  store = new SqliteStore({ directory: join(folder, "store"), report: () => {}, clock: { now: () => NOON } });
}
const opened = (now: number): Promise<UsageLedger> => UsageLedger.open({ store, documents: documentsIn(folder) }, now);

const request = (fields: Partial<FinishedRequest>): FinishedRequest => ({
  id: "1",
  route: "/v1/chat/completions",
  model: "river",
  instance: "river@cpu",
  tenant: "anna",
  status: 200,
  queueMs: 1,
  ttftMs: 2,
  totalMs: 3,
  promptTokens: 10,
  cachedTokens: 4,
  completionTokens: 5,
  end: "complete",
  ...fields,
});

const row = (tenant: string, model: string, counts: readonly number[]): object => {
  const [requests, failed, promptTokens, cachedTokens, completionTokens] = counts;
  return { tenant, model, requests, failed, promptTokens, cachedTokens, completionTokens };
};

test("requests and tokens are added up by tenant and model; what the engine did not tell counts as none", async () => {
  const ledger = await opened(1_000);
  ledger.note([request({ tenant: "ben" })]);
  ledger.note([request({})]);
  ledger.note([request({ promptTokens: 1, cachedTokens: null, completionTokens: null, end: "cancelled" })]);
  ledger.note([
    request({
      model: null,
      promptTokens: null,
      cachedTokens: null,
      completionTokens: null,
      end: "rejected",
      code: "model_not_found",
    }),
  ]);
  expect(ledger.report()).toEqual({
    since: 1_000,
    usage: [
      row("anna", "", [1, 1, 0, 0, 0]),
      row("anna", "river", [2, 0, 11, 4, 5]),
      row("ben", "river", [1, 0, 10, 4, 5]),
    ],
  });
});

test("what was saved is taken up, in all and by day, with the time since which it was counted", async () => {
  const before = await opened(1_000);
  before.note([request({})], NOON - DAY_MS);
  before.note([request({ tenant: "ben" })], NOON);
  await before.save(NOON);
  await store.close();
  reopen();
  const after = await opened(NOON);
  expect(after.ofToday("ben", NOON)).toEqual({ requests: 1, tokens: 15 });
  expect(after.ofToday("anna", NOON)).toEqual({ requests: 0, tokens: 0 });
  after.note([request({})], NOON);
  expect(after.report()).toEqual({
    since: 1_000,
    usage: [row("anna", "river", [2, 0, 20, 8, 10]), row("ben", "river", [1, 0, 10, 4, 5])],
  });
  const today = "2027-01-31";
  const yesterday = "2027-01-30";
  expect(await after.byDay({ from: yesterday })).toEqual({
    days: [
      { day: today, ...row("anna", "river", [1, 0, 10, 4, 5]) },
      { day: today, ...row("ben", "river", [1, 0, 10, 4, 5]) },
      { day: yesterday, ...row("anna", "river", [1, 0, 10, 4, 5]) },
    ],
  });
  expect((await after.byDay({ from: today, tenant: "ben" })).days.map(({ tenant }) => tenant)).toEqual(["ben"]);
});

test("nothing is written while nothing happens, and what could not be written is written the next time", async () => {
  const ledger = await opened(1_000);
  await ledger.save();
  expect(await readdir(folder)).toEqual([]);
  await writeFile(join(folder, "store"), "a file where the directory should be");
  ledger.note([request({})], NOON);
  await expect(ledger.save(NOON)).rejects.toThrow();
  await rm(join(folder, "store"));
  await ledger.save(NOON);
  expect((await opened(NOON)).report()).toEqual(ledger.report());
});

test("what several daemons count on one store is added up", async () => {
  const [one, other] = [await opened(NOON), await opened(NOON)];
  one.note([request({})], NOON);
  other.note([request({})], NOON);
  other.note([request({ model: "lake" })], NOON);
  await Promise.all([one.save(NOON), other.save(NOON)]);
  one.note([request({})], NOON);
  await one.save(NOON);
  const counted = [row("anna", "lake", [1, 0, 10, 4, 5]), row("anna", "river", [3, 0, 30, 12, 15])];
  expect((await opened(NOON)).report().usage).toEqual(counted);
  expect((await one.byDay({ from: "2000-01-01" })).days.map(({ requests }) => requests)).toEqual([1, 3]);
});

test("the file of an earlier version is taken over, once", async () => {
  const kept = { since: 500, usage: [row("anna", "river", [7, 1, 70, 0, 35])] };
  await writeFile(file, JSON.stringify(kept));
  expect((await opened(NOON)).report()).toEqual(kept);
  expect(await readdir(folder)).toEqual(["store"]);
  const after = await opened(NOON);
  expect(after.report()).toEqual(kept);
  expect(await after.byDay({ from: "2000-01-01" })).toEqual({ days: [] });
});

test("a damaged file of an earlier version stays, and counting starts again", async () => {
  await writeFile(file, '{"since":1,"usage":[{"tenant":"a"}]}');
  expect((await opened(5_000)).report()).toEqual({ since: 5_000, usage: [] });
  expect(await readFile(file, "utf8")).toContain("tenant");
});

test("the usage of a newer version is neither read nor replaced", async () => {
  const newer = '{"schema":2,"since":1,"tenants":{}}';
  await writeFile(file, newer);
  await expect(opened(5_000)).rejects.toMatchObject({ code: "data_newer" });
  expect(await readFile(file, "utf8")).toBe(newer);
});

test("what is counted while a store that was away is read is saved too", async () => {
  const records = store.collection(usageCollection);
  const reading = Promise.withResolvers<void>();
  let isAway = true;
  const shared = {
    isShared: true,
    commit: (writes: readonly Write[]) => store.commit(writes),
    collection: () => ({
      get: (id: string) => records.get(id),
      put: (...args: Parameters<typeof records.put>) => records.put(...args),
      list: async (query: Parameters<typeof records.list>[0]) => {
        if (isAway) throw new AssistantError("store_unavailable", "away");
        await reading.promise;
        return await records.list(query);
      },
    }),
  } as unknown as Store;
  const ledger = await UsageLedger.open({ store: shared, documents: documentsIn(folder) }, NOON);
  isAway = false;
  ledger.note([request({})], NOON);
  const saved = ledger.save(NOON);
  ledger.note([request({ tenant: "ben" })], NOON);
  reading.resolve();
  await saved;
  await ledger.save(NOON);
  expect((await opened(NOON)).report().usage.map(({ tenant }) => tenant)).toEqual(["anna", "ben"]);
});
