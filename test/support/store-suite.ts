import { createHash } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Clock } from "../../src/core/clock.ts";
import type { Collection, CollectionSpec, Commit, Store } from "../../src/core/store.ts";

interface Job {
  readonly state: string;
  readonly rank: number;
  readonly note?: string;
  readonly content?: string;
  readonly contentBytes?: number;
}

const jobs = (number: number): CollectionSpec<Job> => ({
  name: `jobs_${number}`,
  indexes: { byState: ["state", "rank"], ofTenant: ["@tenant", "state"], byNote: ["note"] },
  blob: "content",
});
const held = (number: number): CollectionSpec<Job> => ({
  name: `held_${number}`,
  indexes: {},
  held: true,
  blob: "content",
  blobBytes: "contentBytes",
});

/**
 * What every implementation of the port `Store` does. `open` opens the store that the directory stands for, again where
 * it was open before.
 */
export function storeSuite(name: string, open: (directory: string, clock: Pick<Clock, "now">) => Promise<Store>): void {
  describe(name, () => {
    let directory: string;
    let store: Store;
    let collection: Collection<Job>;
    let now: number;

    // One store for all tests, and a collection for each: to open a store costs more than most of them.
    let number = 0;
    const start = async (): Promise<void> => {
      store = await open(directory, { now: () => now });
      collection = store.collection(jobs(number));
    };
    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), "assistant-store-"));
      await start();
    });
    beforeEach(() => {
      now = 1_000_000;
      number += 1;
      collection = store.collection(jobs(number));
    });
    afterAll(async () => {
      await store.close();
      await rm(directory, { recursive: true, force: true });
    });

    const put = (
      id: string,
      value: Partial<Job> = {},
      tenant = "anna",
      expiresAt: number | null = null,
    ): Promise<Commit> =>
      store.commit([collection.put(id, { state: "new", rank: 0, ...value }, { tenant, expiresAt })]);
    const ids = async (query: Partial<Parameters<typeof collection.list>[0]> = {}): Promise<string[]> =>
      (await collection.list({ limit: 100, ...query })).records.map(({ id }) => id);

    describe("what tenants hold", () => {
      const job = (contentBytes?: number): Job => ({
        ...{ state: "new", rank: 0 },
        ...(contentBytes === undefined ? {} : { contentBytes }),
      });
      const own = JSON.stringify(job()).length;
      let holding: Collection<Job>;
      let anna: string;
      let bert: string;

      beforeEach(() => {
        holding = store.collection(held(number));
        anna = `anna ${number}`;
        bert = `bert ${number}`;
      });

      test("is counted whichever way records come and go, blobs among them", async () => {
        await put("not counted", {}, anna);
        const withBlob = JSON.stringify(job(1000)).length + 1000;
        await store.commit([holding.put("a", job(), { tenant: anna }), holding.put("b", job(1000), { tenant: anna })]);
        expect(await store.heldBy(anna)).toEqual({ records: 2, bytes: own + withBlob });
        await store.commit([holding.put("a", job(1000), { tenant: anna })]);
        expect(await store.heldBy(anna)).toEqual({ records: 2, bytes: 2 * withBlob });
        await store.commit([holding.put("a", job(), { tenant: bert })]);
        expect(await store.heldBy(bert)).toEqual({ records: 1, bytes: own });
        await store.commit([holding.remove("b"), holding.put("c", job(), { tenant: anna, expiresAt: now + 10 })]);
        expect(await store.heldBy(anna)).toEqual({ records: 1, bytes: own });
        now += 20;
        await store.sweep();
        expect(await store.heldBy(anna)).toEqual({ records: 0, bytes: 0 });
        await store.removeRecordsOf(bert, { except: [] });
        expect(await store.heldBy(bert)).toEqual({ records: 0, bytes: 0 });
      });

      test("grows to its limit and no further, however many write at once", async () => {
        const limits = { [anna]: { records: 5, bytes: 100 * own } };
        const commits = Array.from({ length: 20 }, (_, index) =>
          store.commit([holding.put(`r${index}`, job(), { tenant: anna })], limits),
        );
        const kept = (await Promise.allSettled(commits)).filter(({ status }) => status === "fulfilled");
        expect(kept).toHaveLength(5);
        expect((await store.heldBy(anna)).records).toBe(5);
        expect(await holding.count()).toBe(5);
      });

      test("is refused past its bytes with both figures, and nothing of the commit is done", async () => {
        const limits = { [anna]: { records: 100, bytes: own + 500 } };
        const writes = [holding.put("a", job(), { tenant: anna }), holding.put("b", job(600), { tenant: anna })];
        await expect(store.commit(writes, limits)).rejects.toMatchObject({
          code: "storage_quota_exceeded",
          message: expect.stringContaining(anna),
        });
        expect(await holding.count()).toBe(0);
      });

      test("may shrink while it is over its limit", async () => {
        await store.commit([holding.put("a", job(1000), { tenant: anna }), holding.put("b", job(), { tenant: anna })]);
        const limits = { [anna]: { records: 1, bytes: 10 } };
        expect(await store.commit([holding.put("a", job(), { tenant: anna })], limits)).toMatchObject({ ok: true });
        expect(await store.commit([holding.remove("b")], limits)).toMatchObject({ ok: true });
      });
    });

    test("an empty store has no records", async () => {
      expect(await collection.get("a")).toBeNull();
      expect(await ids()).toEqual([]);
      expect(await collection.count()).toBe(0);
    });

    test("a record comes back as it was written, with its revision and times", async () => {
      await put("ä/1", { note: "Grüße \u0000 \u{1f600}" });
      now += 500;
      expect(await put("ä/1", { note: "second" }, "bert")).toEqual({ ok: true, revisions: [2] });
      expect(await collection.get("ä/1")).toEqual({
        id: "ä/1",
        tenant: "bert",
        value: { state: "new", rank: 0, note: "second" },
        revision: 2,
        position: 1,
        createdAt: 1_000_000,
        updatedAt: 1_000_500,
        expiresAt: null,
      });
    });

    test("records outlive the store that wrote them", async () => {
      await put("a", { note: "kept" });
      await store.close();
      await start();
      expect((await collection.get("a"))?.value.note).toBe("kept");
    });

    test("a commit whose expectation does not hold changes nothing", async () => {
      await put("a");
      const value = { state: "done", rank: 1 };
      const stale = [
        collection.put("b", value, { tenant: "x" }),
        collection.put("a", value, { tenant: "x", expect: 7 }),
      ];
      expect(await store.commit(stale)).toEqual({ ok: false, failed: 1 });
      expect(await ids()).toEqual(["a"]);
      expect(await store.commit([collection.put("a", value, { tenant: "x", expect: 0 })])).toMatchObject({ failed: 0 });
      expect(await store.commit([collection.remove("a", 2)])).toMatchObject({ failed: 0 });
      expect(await store.commit([collection.require("a", 0), collection.remove("a")])).toMatchObject({ failed: 0 });
      expect((await collection.get("a"))?.revision).toBe(1);
    });

    test("one commit changes records of several collections", async () => {
      const others = store.collection<{ of: string }>({ name: "others", indexes: {} });
      const writes = [
        collection.put("a", { state: "new", rank: 0 }, { tenant: "x", expect: 0 }),
        others.put("a", { of: "a" }, { tenant: "x", expect: 0 }),
      ];
      expect(await store.commit(writes)).toEqual({ ok: true, revisions: [1, 1] });
      expect(await store.commit([collection.remove("a", 1), others.require("a", 1)])).toEqual({
        ok: true,
        revisions: [0, 1],
      });
      expect([await collection.get("a"), (await others.get("a"))?.value]).toEqual([null, { of: "a" }]);
    });

    test("of many writers that expect the same revision one wins, and an update tries until it does", async () => {
      const value = { state: "new", rank: 0 };
      const made = await Promise.all(
        Array.from({ length: 20 }, () => store.commit([collection.put("a", value, { tenant: "x", expect: 0 })])),
      );
      expect(made.filter(({ ok }) => ok)).toHaveLength(1);
      await Promise.all(
        Array.from({ length: 20 }, () => collection.update("a", (old) => ({ ...old, rank: old.rank + 1 }))),
      );
      expect(await collection.get("a")).toMatchObject({ revision: 21, tenant: "x", value: { rank: 20 } });
    });

    test("an update of what is not there, or that changes nothing, writes nothing", async () => {
      expect(await collection.update("a", (old) => old)).toBeNull();
      await put("a");
      expect(await collection.update("a", () => null)).toMatchObject({ revision: 1 });
    });

    test("records are listed in the order in which they were made, in both directions, page by page", async () => {
      for (const id of ["c", "a", "b"]) await put(id);
      await put("c", { note: "changed" });
      expect([await ids(), await ids({ order: "desc" })]).toEqual([
        ["c", "a", "b"],
        ["b", "a", "c"],
      ]);
      const first = await collection.list({ limit: 2, order: "desc" });
      const last = await collection.list({ limit: 2, order: "desc", after: first.next ?? "" });
      expect([first, last].map(({ records }) => records.map(({ id }) => id))).toEqual([["b", "a"], ["c"]]);
      expect(last.next).toBeNull();
    });

    test("an index orders by its fields, and equal ones by when they were made", async () => {
      await put("late", { rank: -1 });
      await put("two", { rank: 5 });
      await put("three", { rank: 5 });
      await put("one", { rank: 2.5 });
      await put("other", { state: "done" });
      const query = { index: "byState", equals: ["new"] };
      expect(await ids(query)).toEqual(["late", "one", "two", "three"]);
      expect(await ids({ ...query, order: "desc" })).toEqual(["three", "two", "one", "late"]);
      expect(await ids({ ...query, from: 2.5, below: 5 })).toEqual(["one"]);
      expect(await collection.count({ ...query, from: 2.5 })).toBe(3);
      expect(await ids({ index: "byState" })).toEqual(["other", "late", "one", "two", "three"]);
    });

    test.each(["asc", "desc"] as const)(
      "pages of an index (%s) leave nothing out and repeat nothing",
      async (order) => {
        for (let index = 0; index < 30; index++) await put(`job-${index}`, { rank: index % 4 });
        const query = { index: "byState", equals: ["new"], order } as const;
        const all = await ids(query);
        const seen: string[] = [];
        let after: string | null = "";
        while (after !== null) {
          const page = await collection.list({ ...query, limit: 7, ...(after === "" ? {} : { after }) });
          seen.push(...page.records.map(({ id }) => id));
          after = page.next;
        }
        expect(seen).toEqual(all);
        expect(new Set(seen).size).toBe(30);
      },
    );

    test("a list goes on after any record of its index", async () => {
      for (const id of ["a", "b", "c"]) await put(id, { rank: 1 });
      const record = await collection.get("b");
      if (record === null) throw new Error("b was written");
      expect(await ids({ after: record })).toEqual(["c"]);
      expect(await ids({ index: "byState", equals: ["new"], order: "desc", after: record })).toEqual(["a"]);
    });

    test("a cursor that is none is refused", async () => {
      await put("a");
      for (const after of ["nonsense", Buffer.from("[1,2,3]").toString("base64url")])
        await expect(collection.list({ limit: 1, after })).rejects.toMatchObject({ code: "invalid_request" });
    });

    test("a record without a field of an index is not in it", async () => {
      await put("a");
      await put("b", { note: "x" });
      expect(await ids({ index: "byNote" })).toEqual(["b"]);
    });

    test("records are found by tenant", async () => {
      await put("a", {}, "anna");
      await put("b", {}, "bert");
      expect(await ids({ index: "ofTenant", equals: ["bert"] })).toEqual(["b"]);
      expect(await collection.count({ index: "ofTenant", equals: ["anna", "new"] })).toBe(1);
    });

    test("an expired record is gone, and its id is free", async () => {
      await put("a", { note: "short" }, "anna", now + 10);
      await put("b");
      now += 10;
      expect([await collection.get("a"), await ids(), await collection.count()]).toEqual([null, ["b"], 1]);
      expect(await collection.update("a", (old) => old)).toBeNull();
      const again = collection.put("a", { state: "new", rank: 0 }, { tenant: "anna", expect: 0 });
      expect(await store.commit([again])).toEqual({ ok: true, revisions: [1] });
      expect(await ids()).toEqual(["b", "a"]);
    });

    test("a sweep deletes what has expired", async () => {
      for (let index = 0; index < 1_200; index++) void put(`short-${index}`, {}, "anna", now + 10);
      await put("b");
      now += 20;
      expect(await store.sweep()).toEqual({ records: 1_200, blobs: 0 });
      expect(await ids()).toEqual(["b"]);
    });

    test("an index that is added later has the records that were there before", async () => {
      await put("a", { rank: 3 });
      await put("b", { rank: 1 });
      await store.close();
      await start();
      const more = store.collection<Job>({ ...jobs(number), indexes: { ...jobs(number).indexes, byRank: ["rank"] } });
      expect((await more.list({ limit: 10, index: "byRank" })).records.map(({ id }) => id)).toEqual(["b", "a"]);
    });

    test("what one caller does wrong fails for it alone", async () => {
      const wrong = { ...collection.put("a", { state: "new", rank: 0 }, { tenant: "x" }), collection: "nowhere" };
      const [bad, good] = await Promise.allSettled([store.commit([wrong]), put("b")]);
      expect([bad.status, good.status]).toEqual(["rejected", "fulfilled"]);
      expect(await ids()).toEqual(["b"]);
    });

    test("a page of large records is shorter and says where it goes on", async () => {
      for (const id of ["a", "b", "c"]) await put(id, { note: `${id}${"x".repeat(3 * 2 ** 20)}` });
      const page = await collection.list({ limit: 3 });
      expect(page.records.map(({ id }) => id)).toEqual(["a"]);
      expect(await ids({ after: page.next ?? "" })).toEqual(["b"]);
    });

    test("ids that are empty or too long are refused", () => {
      for (const id of ["", "x".repeat(513)])
        expect(() => collection.put(id, { state: "new", rank: 0 }, { tenant: "x" })).toThrow("512");
    });

    test("a closed store refuses", async () => {
      await put("a");
      await store.close();
      await expect(put("b")).rejects.toMatchObject({ code: "store_unavailable" });
      await start();
      expect(await ids()).toEqual(["a"]);
    });

    test("a tenant's records are found and deleted in all collections but those that are named", async () => {
      const others = store.collection<{ name: string }>({ name: "belongings", indexes: {} });
      const write = (id: string, tenant: string, expiresAt: number | null = null) =>
        others.put(id, { name: id }, { tenant, expiresAt });
      await store.commit(Array.from({ length: 1_001 }, (_, index) => write(`o${index}`, "leaver")));
      await store.commit([write("kept", "stayer"), write("gone", "ghost", now - 1)]);
      expect(await store.hasRecordsOf("leaver", { except: [] })).toBe(true);
      expect(await store.hasRecordsOf("leaver", { except: ["belongings"] })).toBe(false);
      expect(await store.hasRecordsOf("ghost", { except: [] })).toBe(false);
      await store.removeRecordsOf("leaver", { except: ["belongings"] });
      expect(await others.count()).toBe(1_002);
      await store.removeRecordsOf("leaver", { except: [] });
      expect((await others.list({ limit: 10 })).records.map(({ id }) => id)).toEqual(["kept"]);
    });

    describe("blobs", () => {
      const chunks = async function* (...texts: string[]): AsyncGenerator<Buffer> {
        for (const text of texts) yield Buffer.from(text);
      };
      const textOf = async (digest: string, range?: { start: number; end: number }): Promise<string | null> => {
        const found = await store.blobs.read(digest, range);
        return found === null ? null : Buffer.concat(await found.stream.toArray()).toString();
      };
      const digestOf = (text: string): string => createHash("sha256").update(text).digest("hex");
      /** Past the time within which a record must name a blob. */
      const later = (): void => {
        now = Date.now() + 3_600_000;
      };

      beforeEach(async () => {
        later();
        await store.sweep();
        now = Date.now();
      });

      test("a content comes back whole and in parts, under its digest", async () => {
        const blob = await store.blobs.write(chunks("hello ", "world"), { maxBytes: 11, tenant: null });
        expect(blob).toEqual({ digest: digestOf("hello world"), bytes: 11 });
        expect(await textOf(blob.digest)).toBe("hello world");
        expect(await textOf(blob.digest, { start: 4, end: 7 })).toBe("o w");
        expect(await textOf(digestOf("nothing"))).toBeNull();
        await expect(store.blobs.read("../../etc/passwd")).rejects.toMatchObject({ code: "invalid_request" });
      });

      test("one that is too large is refused, and nothing of it is kept", async () => {
        const wide = store.blobs.write(chunks("hello ", "world"), { maxBytes: 10, tenant: null });
        await expect(wide).rejects.toMatchObject({ code: "body_too_large" });
        expect(await textOf(digestOf("hello world"))).toBeNull();
      });

      test("a sweep deletes a blob when the last record that names it is gone", async () => {
        const { digest } = await store.blobs.write(chunks("shared"), { maxBytes: 100, tenant: null });
        await put("a", { content: digest });
        await put("b", {
          content: (await store.blobs.write(chunks("sha", "red"), { maxBytes: 100, tenant: null })).digest,
        });
        await store.commit([collection.remove("a")]);
        later();
        expect(await store.sweep()).toEqual({ records: 0, blobs: 0 });
        expect(await textOf(digest)).toBe("shared");
        await store.commit([collection.remove("b")]);
        expect(await store.sweep()).toEqual({ records: 0, blobs: 1 });
        expect(await textOf(digest)).toBeNull();
      });

      test("a sweep leaves a blob that no record can name yet", async () => {
        await put("a");
        const { digest } = await store.blobs.write(chunks("fresh"), { maxBytes: 100, tenant: null });
        expect(await store.sweep()).toEqual({ records: 0, blobs: 0 });
        expect(await textOf(digest)).toBe("fresh");
      });
    });
  });
}
