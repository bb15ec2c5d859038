import { expect, test } from "vitest";
import { printable, printableJson, printableLine, printableTexts } from "../../../src/ui/printable.ts";

test("control characters appear as JSON writes them; ends of lines and tabs stay", () => {
  expect(printable("a\u001b]0;x\u0007\u009b2J\u007f\tb\r\nc\rd\n")).toBe(
    "a\\u001b]0;x\\u0007\\u009b2J\\u007f\tb\r\nc\\rd\n",
  );
});

test("a line stays one", () => {
  expect(printableLine("a\r\nb\tc\u001b[2J")).toBe("a\\r\\nb\\tc\\u001b[2J");
});

test("letters of any script stay", () => {
  expect(printable("Flüsse 河 👩‍👧")).toBe("Flüsse 河 👩‍👧");
});

test("JSON says the same, without control characters", () => {
  const text = printableJson(JSON.stringify({ a: "\u001b\u009b\u007f" }));
  expect(text).not.toMatch(/\p{Cc}/u);
  expect(JSON.parse(text)).toEqual({ a: "\u001b\u009b\u007f" });
});

test("texts of a value, however deep", () => {
  expect(printableTexts({ a: ["\u001b", 1, null], b: { c: "\u0000" } })).toEqual({
    a: ["\\u001b", 1, null],
    b: { c: "\\u0000" },
  });
});
