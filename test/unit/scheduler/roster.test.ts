import fc from "fast-check";
import { expect, test } from "vitest";
import { Group, Roster } from "../../../src/scheduler/structures/roster.ts";

test("a roster is a Map with string keys, in the order of arrival", () => {
  const step = fc.record({ what: fc.constantFrom("set", "delete", "clear"), id: fc.constantFrom("a", "b", "c", "d", "e"), value: fc.nat() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const roster = new Roster<{ readonly value: number }>();
      const map = new Map<string, { readonly value: number }>();
      for (const { what, id, value } of steps) {
        if (what === "set") {
          roster.set(id, { value });
          map.set(id, { value });
        } else if (what === "delete") expect(roster.delete(id)).toBe(map.delete(id));
        else {
          roster.clear();
          map.clear();
        }
        expect(roster.size).toBe(map.size);
        expect([...roster]).toEqual([...map.values()]);
        for (const each of ["a", "b", "c", "d", "e"]) {
          expect(roster.get(each)).toEqual(map.get(each));
          expect(roster.has(each)).toBe(map.has(each));
        }
      }
    }),
  );
});

test("a group holds whoever was added and has not been removed, once", () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 7 }), { maxLength: 60 }), (picks) => {
      const members = Array.from({ length: 8 }, () => ({ groupIndex: -1 }));
      const group = new Group<(typeof members)[number]>();
      const there = new Set<(typeof members)[number]>();
      for (const pick of picks) {
        const member = members[pick] as (typeof members)[number];
        if (there.delete(member)) group.remove(member);
        else {
          there.add(member);
          group.add(member);
        }
        expect(group.size).toBe(there.size);
        expect(new Set(group)).toEqual(there);
      }
      for (const member of members) if (!there.has(member)) group.remove(member);
      expect(group.size).toBe(there.size);
      group.clear();
      expect([...group]).toEqual([]);
    }),
  );
});
