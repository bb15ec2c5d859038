import fc from "fast-check";
import { expect, test } from "vitest";
import { Roster } from "../../../src/scheduler/roster.ts";

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
