import fc from "fast-check";
import { expect, test } from "vitest";
import { Average } from "../../../src/scheduler/measures.ts";
import { emptyPrefixes, PrefixIndex } from "../../../src/scheduler/prefix/prefix-index.ts";
import { IndexedHeap } from "../../../src/scheduler/structures/heap.ts";
import { TokenMeter } from "../../../src/scheduler/structures/token-meter.ts";
import { touch } from "./support.ts";

interface Item {
  heapIndex: number;
  value: number;
}

test("the heap's head is the least, whatever is added, moved and removed", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom("add", "move", "remove"), fc.nat(), fc.integer())), (steps) => {
      const heap = new IndexedHeap<Item>((a, b) => a.value < b.value);
      const items: Item[] = [];
      for (const [what, pick, value] of steps) {
        const chosen = items[pick % Math.max(1, items.length)];
        if (what === "add" || chosen === undefined) items.push({ value, heapIndex: -1 });
        else if (what === "move") chosen.value = value;
        else items.splice(items.indexOf(chosen), 1);
        if (what === "remove" && chosen !== undefined) heap.remove(chosen);
        else heap.update(chosen !== undefined && what === "move" ? chosen : (items.at(-1) as Item));
        expect(heap.size).toBe(items.length);
        expect(heap.peek()?.value).toBe(items.length === 0 ? undefined : Math.min(...items.map((item) => item.value)));
      }
    }),
  );
});

test("the prefix index keeps no trace of what was forgotten", () => {
  const chain = fc.array(fc.nat({ max: 3 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat({ max: 2 }), chain, fc.integer({ min: 1, max: 50 }))), (touches) => {
      const index = new PrefixIndex<{ prefixes: ReturnType<typeof emptyPrefixes> }>();
      const owners = [0, 1, 2].map(() => ({ prefixes: emptyPrefixes() }));
      const seen = new Set<string>();
      for (const [owner, path, tokens] of touches) {
        const marks = path.map((_, length) => ({ hash: path.slice(0, length + 1).join("/"), tokens: length + 1 }));
        for (const mark of marks) seen.add(mark.hash);
        const holder = owners[owner] as (typeof owners)[number];
        touch(index, holder, marks, tokens, 60);
        expect(index.cachedTokens(holder, marks)).toBe(marks.length);
        const held = [...holder.prefixes.conversations.values()];
        expect(holder.prefixes.tokens).toBe(held.reduce((sum, conversation) => sum + conversation.tokens, 0));
        expect(holder.prefixes.tokens).toBeLessThanOrEqual(60);
      }
      for (const owner of owners) index.clear(owner);
      for (const hash of seen) expect([...index.held([{ hash, tokens: 1 }])]).toEqual([]);
      for (const owner of owners) expect(owner.prefixes.tokens).toBe(0);
    }),
  );
});

test("the meter spreads an answer over its time and forgets it after the window", () => {
  const meter = new TokenMeter();
  expect(meter.perSecond(10_000)).toBeNull();
  meter.add(500, 5_000, 10_000);
  expect(meter.perSecond(10_000)).toBeCloseTo(100, 5);
  expect(meter.perSecond(20_000)).toBe(0);
  const long = new TokenMeter();
  long.add(6_000, 60_000, 100_000);
  expect(long.perSecond(100_000)).toBeCloseTo(100, 5);
});

test("an average follows what it is told and refuses what is no number", () => {
  const mean = new Average();
  mean.learn(Number.NaN);
  mean.learn(-1);
  expect(mean.value).toBeNull();
  for (let count = 0; count < 100; count++) mean.learn(30);
  expect(mean.value).toBeCloseTo(30, 5);
});
