import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { RedisStore } from "../../../../src/store/redis/store.ts";
import { eventually } from "../../../support/assistant.ts";
import { startRedis, type TestRedis } from "../../../support/redis.ts";

interface Note {
  readonly text: string;
}
let redis: TestRedis;
const reports: string[] = [];
const stores: RedisStore[] = [];
const opened = async (url = redis.url): Promise<RedisStore> => {
  const store = await RedisStore.open({ url, report: (problem) => reports.push(problem) });
  stores.push(store);
  return store;
};
const notesOf = (store: RedisStore) => store.collection<Note>({ name: "notes", indexes: {} });

beforeAll(async () => {
  redis = await startRedis();
});
afterAll(async () => {
  for (const store of stores) await store.close();
  await redis?.[Symbol.asyncDispose]();
});

test("while Redis is gone calls fail with 503 and a time to come back; then all that was acknowledged is there", async () => {
  const store = await opened();
  const notes = notesOf(store);
  await store.commit([notes.put("a", { text: "kept" }, { tenant: "x" })]);
  await redis.kill();
  await expect(notes.get("a")).rejects.toMatchObject({ code: "store_unavailable", status: 503, retryAfterS: 5 });
  await eventually("it is a problem", () => store.problems.some((problem) => problem.includes("cannot be reached")));
  await redis.start();
  const record = await eventually("the connection is back", () => notes.get("a").catch(() => undefined));
  expect([record?.value, store.problems]).toEqual([{ text: "kept" }, []]);
  expect(reports).toEqual([expect.stringContaining("is lost"), expect.stringContaining("is back")]);
});

test("a server that no longer responds counts as lost until it does", async () => {
  const store = await opened();
  const { client } = store.connection;
  const before = reports.length;
  vi.spyOn(client, "call").mockRejectedValueOnce(new Error("Command timed out"));
  await expect(store.connection.command("PING")).rejects.toMatchObject({ code: "store_unavailable" });
  await eventually("it is back", () => reports.length === before + 2);
  expect(reports.slice(before)).toEqual([expect.stringContaining("is lost"), expect.stringContaining("is back")]);
  expect(await store.connection.command("PING")).toBe("PONG");
});

test("what one process changes others see, and learn of", async () => {
  const [one, other] = [await opened(), await opened()];
  const seen: (readonly string[] | null)[] = [];
  using _watching = other.watch("notes", (ids) => seen.push(ids));
  using _own = one.watch("notes", (ids) => ids !== null && seen.push(["own"]));
  await eventually("it listens", () => seen.length > 0);
  await eventually("one write is seen", async () => {
    await one.commit([notesOf(one).put("b", { text: "new" }, { tenant: "x" })]);
    return seen.some((ids) => ids?.includes("b"));
  });
  expect((await notesOf(other).get("b"))?.value.text).toBe("new");
  expect(seen.flat()).not.toContain("own");
});

test("who begins to listen later learns that something may have been missed until then", async () => {
  const store = await opened();
  const seen: string[] = [];
  using _first = store.watch("notes", () => seen.push("notes"));
  await eventually("it listens", () => seen.length > 0);
  using _late = store.watch("others", (ids) => ids === null && seen.push("others"));
  await eventually("it is told", () => seen.includes("others"));
  expect(seen).toEqual(["notes", "others"]);
});

test("what no daemon has sent counts as a message that was missed", async () => {
  const store = await opened();
  const seen: (readonly string[] | null)[] = [];
  using _watching = store.watch("notes", (ids) => seen.push(ids));
  await eventually("it listens", () => seen.length > 0);
  const { connection } = store;
  const channels = (await connection.command("PUBSUB", "CHANNELS", "*notes*")) as string[];
  for (const channel of channels) await connection.publish(channel, "no JSON");
  await eventually("it is told", () => seen.length > 1);
  expect(seen).toEqual([null, null]);
});

test("a server that may lose what it has acknowledged is a problem that names the settings", async () => {
  await using careless = await startRedis({ appendfsync: "everysec" });
  const store = await opened(careless.url);
  expect(store.problems).toEqual([expect.stringContaining("appendfsync everysec")]);
  expect(await store.check()).toEqual(store.problems);
  await store.connection.command("CONFIG", "SET", "appendonly", "no");
  expect(await store.check()).toEqual([expect.stringContaining("appendonly yes")]);
});

test("a password is used and never shown, and a wrong one is refused with what to do", async () => {
  await using guarded = await startRedis({ requirepass: "s3cret" });
  const url = (password: string): string => guarded.url.replace("//", `//:${password}@`);
  const store = await opened(url("s3cret"));
  expect(store.location).toBe(`${guarded.url}`);
  const wrong = await RedisStore.open({ url: url("other"), report: () => {} }).catch((error: unknown) => error);
  expect(wrong).toMatchObject({ code: "store_unavailable", message: expect.stringContaining("WRONGPASS") });
  expect(String(wrong)).not.toContain("other@");
});

test("records of a newer version are refused", async () => {
  const store = await opened();
  await store.connection.command("SET", "assistant:format", 99);
  await expect(opened()).rejects.toMatchObject({ code: "data_newer" });
  await store.connection.command("SET", "assistant:format", 1);
});
