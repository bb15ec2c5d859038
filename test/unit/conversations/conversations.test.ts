import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { Conversations } from "../../../src/conversations/conversations.ts";
import { textMessage, textOf } from "../../../src/conversations/item.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";

const DAY_MS = 86_400_000;
const plain = { model: null, systemPrompt: null, metadata: {} };
const say = (text: string, role = "user") => textMessage(`msg_${text}`, role, text);

let directory: string;
let store: SqliteStore;
let settings: { ttlMs: number; maxItems: number };
let conversations: Conversations;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "assistant-conversations-"));
  store = new SqliteStore({ directory, report: () => {} });
});
beforeEach(() => {
  settings = { ttlMs: 7 * DAY_MS, maxItems: 100 };
  conversations = new Conversations({ store, settings: () => settings, now: Date.now });
});
afterAll(async () => {
  await store.close();
  await rm(directory, { recursive: true, force: true });
});

const textsOf = async (id: string): Promise<string[]> =>
  (await conversations.read("ann", id)).items.map(({ item }) => textOf(item));

test("the system prompt is the first message and survives the deletion of the messages", async () => {
  const { id, messageCount } = await conversations.create("ann", { ...plain, systemPrompt: "Be brief." });
  expect(messageCount).toBe(1);
  await conversations.append("ann", id, [say("hello"), say("hi", "assistant")]);
  expect(await textsOf(id)).toEqual(["Be brief.", "hello", "hi"]);
  expect((await conversations.clear("ann", id)).messageCount).toBe(1);
  expect(await textsOf(id)).toEqual(["Be brief."]);
  await conversations.update("ann", id, { systemPrompt: null });
  expect(await textsOf(id)).toEqual([]);
});

test.each([
  ["get", (id: string) => conversations.get("bob", id)],
  ["read", (id: string) => conversations.read("bob", id)],
  ["update", (id: string) => conversations.update("bob", id, { model: "river" })],
  ["append", (id: string) => conversations.append("bob", id, [say("x")])],
  ["clear", (id: string) => conversations.clear("bob", id)],
  ["branch", (id: string) => conversations.branch("bob", id, null)],
  ["delete", (id: string) => conversations.delete("bob", id)],
])("another tenant finds none: %s", async (_, act) => {
  const { id } = await conversations.create("ann", plain);
  await expect(act(id)).rejects.toMatchObject({ code: "conversation_not_found", status: 404 });
  expect(await conversations.list("bob", { limit: 10, offset: 0 })).toEqual({ conversations: [], total: 0 });
  expect(await textsOf(id)).toEqual([]);
});

test("the newest items within the limit stay, the system prompt among them", async () => {
  settings.maxItems = 4;
  const { id } = await conversations.create("ann", { ...plain, systemPrompt: "s" });
  for (const text of ["a", "b", "c", "d", "e"]) await conversations.append("ann", id, [say(text)]);
  expect(await textsOf(id)).toEqual(["s", "c", "d", "e"]);
  expect((await conversations.get("ann", id)).messageCount).toBe(4);
});

test("each addition postpones the end", async () => {
  settings.ttlMs = -1;
  const over = await conversations.create("ann", plain);
  await expect(conversations.get("ann", over.id)).rejects.toMatchObject({ code: "conversation_not_found" });
  settings.ttlMs = DAY_MS;
  const { id } = await conversations.create("ann", plain);
  settings.ttlMs = -1;
  await conversations.append("ann", id, [say("a")]);
  await expect(conversations.get("ann", id)).rejects.toMatchObject({ code: "conversation_not_found" });
});

test("what is added at the same time is all there", async () => {
  const { id } = await conversations.create("ann", plain);
  const texts = Array.from({ length: 12 }, (_, index) => `m${index}`);
  await Promise.all(texts.map((text) => conversations.append("ann", id, [say(text), say(`${text}!`, "assistant")])));
  const found = await textsOf(id);
  expect([...found].sort()).toEqual(texts.flatMap((text) => [text, `${text}!`]).sort());
  for (const text of texts) expect(found[found.indexOf(text) + 1]).toBe(`${text}!`);
});

test("no two items have the same id", async () => {
  const { id } = await conversations.create("ann", plain);
  await conversations.append("ann", id, [say("a"), say("a")]);
  const { items } = await conversations.read("ann", id);
  expect(new Set(items.map(({ item }) => item.id)).size).toBe(2);
  await conversations.removeItem("ann", id, "msg_a");
  expect(await textsOf(id)).toEqual(["a"]);
  await expect(conversations.removeItem("ann", id, "msg_b")).rejects.toMatchObject({ code: "item_not_found" });
});

test("a branch has the history up to a message, and goes its own way", async () => {
  const { id } = await conversations.create("ann", { model: "river", systemPrompt: "s", metadata: { k: 1 } });
  await conversations.append("ann", id, [say("a"), say("b", "assistant"), say("c")]);
  const branch = await conversations.branch("ann", id, 3);
  expect(branch).toMatchObject({ model: "river", systemPrompt: "s", metadata: { k: 1 }, messageCount: 3 });
  await conversations.append("ann", branch.id, [say("x")]);
  expect(await textsOf(branch.id)).toEqual(["s", "a", "b", "x"]);
  expect(await textsOf(id)).toEqual(["s", "a", "b", "c"]);
  expect(await textsOf((await conversations.branch("ann", id, 1)).id)).toEqual(["s"]);
  expect(await textsOf((await conversations.branch("ann", id, null)).id)).toEqual(["s", "a", "b", "c"]);
  await expect(conversations.branch("ann", id, 5)).rejects.toMatchObject({ param: "at_message" });
});

test("lists are paged, the last changed first", async () => {
  const ids: string[] = [];
  for (let count = 0; count < 5; count++) ids.push((await conversations.create("kim", plain)).id);
  const first = ids[0] as string;
  await expect
    .poll(async () => (await conversations.append("kim", first, [])).conversation.updatedAt)
    .toBeGreaterThan((await conversations.get("kim", ids[4] as string)).updatedAt);
  const all = await conversations.list("kim", { limit: 10, offset: 0 });
  expect(all.total).toBe(5);
  expect(all.conversations[0]?.id).toBe(first);
  const page = await conversations.list("kim", { limit: 2, offset: 2 });
  expect(page.conversations.map(({ id }) => id)).toEqual(all.conversations.slice(2, 4).map(({ id }) => id));
  expect((await conversations.list("kim", { limit: 2, offset: 9 })).conversations).toEqual([]);
});
