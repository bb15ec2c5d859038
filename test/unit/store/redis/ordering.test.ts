import fc from "fast-check";
import { expect, test } from "vitest";
import type { FieldValue } from "../../../../src/core/store.ts";
import { lexRange, valuesText } from "../../../../src/store/redis/ordering.ts";

const value = fc.oneof(
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.string({ unit: fc.constantFrom("\u0000", "\u0001", "a", "b", "é", "\u{1f600}") }),
);
/** As SQLite orders them. */
const compared = (a: FieldValue, b: FieldValue): number => {
  if (typeof a === "number" && typeof b === "number") return Math.sign(a - b);
  if (typeof a === "string" && typeof b === "string") return Buffer.compare(Buffer.from(a), Buffer.from(b));
  return typeof a === "number" ? -1 : 1;
};
const bytes = (text: string): Buffer => Buffer.from(text);

test("the bytes of values have the order of the values", () => {
  fc.assert(
    fc.property(value, value, (a, b) => {
      expect(Math.sign(Buffer.compare(bytes(valuesText([a])), bytes(valuesText([b]))))).toBe(compared(a, b));
    }),
  );
});

test("a range has the members whose values are in it", () => {
  const tail = "00000000000001:id";
  fc.assert(
    fc.property(value, value, value, value, (first, second, from, below) => {
      const { min, max } = lexRange({ equals: [first], from, below });
      const member = bytes(`${valuesText([first, second])}${tail}`);
      const isIn = Buffer.compare(member, bytes(min.slice(1))) >= 0 && Buffer.compare(member, bytes(max.slice(1))) < 0;
      expect(isIn).toBe(compared(second, from) >= 0 && compared(second, below) < 0);
    }),
  );
});
