import { expect, test } from "vitest";
import { type CacheSlot, SlotCaches } from "../../../bench/stub/caches.ts";

/** One token a byte. */
function use(caches: SlotCaches, prompt: string, answer = ""): { readonly slot: CacheSlot; readonly bytes: number } {
  const taken = caches.take(Buffer.from(prompt), null, true);
  if (taken === null) throw new Error("no slot is free");
  const text = Buffer.from(prompt + answer);
  caches.give(taken.slot, { text, tokens: text.length });
  return taken;
}

const letters = "abcdef";
const own = (letter: string, bytes = 100): string => letter.repeat(bytes);

test("a prompt goes to the most similar slot, and to the one unused for longest where none is similar enough", () => {
  const caches = new SlotCaches(2, 0);
  const [first, second] = [use(caches, own("a")).slot, use(caches, own("b")).slot];
  expect(second).not.toBe(first);
  expect(use(caches, own("a", 150))).toEqual({ slot: first, bytes: 100 });
  expect(use(caches, own("c")).slot).toBe(second);
});

test("what lost its slot is loaded from the host cache when it comes back", () => {
  const caches = new SlotCaches(2, 1000);
  for (const letter of letters) use(caches, own(letter), "!");
  for (const letter of letters) expect(use(caches, `${own(letter)}!${own(letter, 20)}`).bytes).toBe(101);
});

test("slots that are idle are in the host cache as well, and a longer state takes the place of its beginning", () => {
  const caches = new SlotCaches(3, 1000);
  use(caches, own("a"));
  use(caches, own("b"));
  expect(caches.hostTokens).toBe(100);
  use(caches, own("a", 200));
  use(caches, own("c"));
  expect(caches.hostTokens).toBe(300);
});

test("the oldest leave a host cache that is full, and what is larger than it never enters", () => {
  const caches = new SlotCaches(1, 250);
  for (const letter of ["a", "b", "c", "d"]) use(caches, own(letter));
  expect(caches.hostTokens).toBe(200);
  expect(use(caches, own("a", 120)).bytes).toBe(0);
  expect(use(caches, own("d", 120)).bytes).toBe(100);
  use(caches, own("e", 300));
  use(caches, own("f"));
  expect(caches.hostTokens).toBeLessThanOrEqual(250);
});

test("conversations with a long beginning in common come back whole, and one that is new takes a copy of the beginning", () => {
  const caches = new SlotCaches(1, 10_000);
  const turn = (agent: string, bytes: number): number => use(caches, own("s", 300) + own(agent, bytes)).bytes;
  expect([turn("a", 100), turn("b", 100), turn("c", 100)]).toEqual([0, 300, 300]);
  expect(["a", "b", "c"].map((agent) => turn(agent, 150))).toEqual([400, 400, 400]);
  // Also where what they do not have in common is short.
  expect([turn("d", 30), turn("e", 30), turn("d", 60)]).toEqual([300, 300, 330]);
  // Without a host cache they push each other out.
  const bare = new SlotCaches(1, 0);
  const bareTurn = (agent: string, bytes: number): number => use(bare, own("s", 300) + own(agent, bytes)).bytes;
  expect([bareTurn("a", 100), bareTurn("b", 100), bareTurn("a", 150)]).toEqual([0, 300, 300]);
});

test("a request that forbids reuse gets nothing of what its slot holds", () => {
  const caches = new SlotCaches(1, 1000);
  use(caches, own("a"));
  expect(caches.take(Buffer.from(own("a")), null, false)?.bytes).toBe(0);
});

test("a slot asked for by its number is given or waited for, and none is given while all are busy", () => {
  const caches = new SlotCaches(2, 1000);
  const held = caches.take(Buffer.from("a"), 1, true);
  expect(held?.slot.id).toBe(1);
  expect(caches.take(Buffer.from("b"), 1, true)).toBeNull();
  expect(caches.take(Buffer.from("b"), null, true)?.slot.id).toBe(0);
  expect(caches.take(Buffer.from("c"), null, true)).toBeNull();
});
