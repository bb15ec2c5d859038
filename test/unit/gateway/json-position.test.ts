import fc from "fast-check";
import { expect, test } from "vitest";
import { jsonErrorPosition } from "../../../src/gateway/canonical/json-position.ts";

test("valid JSON has its mistake at its end, that is nowhere", () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      expect(jsonErrorPosition(text).offset).toBe(text.length);
    }),
  );
});

test("text behind the value is the mistake", () => {
  fc.assert(
    fc.property(
      fc.jsonValue().filter((value) => typeof value === "object"),
      (value) => {
        const text = JSON.stringify(value);
        expect(jsonErrorPosition(`${text} x`).offset).toBe(text.length + 1);
      },
    ),
  );
});

test.each([
  ["", 0, 1, 1],
  ["{bad", 1, 1, 2],
  ['{"a": b}', 6, 1, 7],
  ['{"a":1,}', 7, 1, 8],
  ['{"a" 1}', 5, 1, 6],
  ["[1,2,]", 5, 1, 6],
  ["[1 2]", 3, 1, 4],
  ['{\n  "a": 1,\n  "b": tru\n}', 19, 3, 8],
  ['"open', 0, 1, 1],
  ["{]", 1, 1, 2],
  ["[01]", 2, 1, 3],
  ['{"a":"\u0001"}', 5, 1, 6],
])("%j: offset %i, line %i, column %i", (text, offset, line, column) => {
  expect(jsonErrorPosition(text)).toEqual({ offset, line, column });
});
