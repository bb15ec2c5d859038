import { expect, test } from "vitest";
import { filled, valueAt } from "../../../src/pipelines/path.ts";

const value = { items: [{ title: "Elbe" }, { title: "Oder" }], count: 2, none: null };

test.each([
  ["items[1].title", "Oder"],
  ["items.0.title", "Elbe"],
  ["count", 2],
  ["", value],
  ["none.x", undefined],
  ["items[7]", undefined],
  ["__proto__.toString", undefined],
  ["constructor", undefined],
])("%s", (path, expected) => {
  expect(valueAt(value, path)).toEqual(expected);
});

test("a text that is one placeholder becomes the value, others become text", () => {
  const values = { input: value, request: { user: "anna" } };
  expect(
    filled({ n: "{{input.count}}", s: "{{ request.user }}: {{input.items}}", gone: "{{input.x}}" }, values),
  ).toEqual({
    n: 2,
    s: 'anna: [{"title":"Elbe"},{"title":"Oder"}]',
    gone: null,
  });
});

test("what a value holds is not filled in again", () => {
  expect(filled("<{{input}}>", { input: "{{request.secret}}", request: { secret: "x" } })).toBe("<{{request.secret}}>");
});
