import fc from "fast-check";
import { expect, test } from "vitest";
import { chunksOf, unitsOf } from "../../../src/retrieval/chunks.ts";

/** As many tokens as characters that are no blanks. */
const split = (text: string, capacity: number): string[] => {
  const units = unitsOf(text);
  return chunksOf(
    units,
    units.map((unit) => unit.text.trim().length),
    capacity,
  );
};

test("a chunk ends at the strongest boundary that there is", () => {
  expect(split("aa bb. cc\ndd\n\nee ff", 100)).toEqual(["aa bb. cc\ndd\n\nee ff"]);
  expect(split("aa bb. cc\ndd\n\nee ff", 9)).toEqual(["aa bb. cc\ndd", "ee ff"]);
  expect(split("aa bb. cc\ndd\n\nee ff", 7)).toEqual(["aa bb. cc", "dd", "ee ff"]);
  expect(split("aa bb. cc\ndd\n\nee ff", 5)).toEqual(["aa bb.", "cc", "dd", "ee ff"]);
  expect(split("aa bb. cc\ndd\n\nee ff", 3)).toEqual(["aa", "bb.", "cc", "dd", "ee", "ff"]);
});

test("neighbours are put together as long as they fit", () => {
  expect(split("a\n\nb\n\nc\n\nd\n\ne", 2)).toEqual(["a\n\nb", "c\n\nd", "e"]);
});

test("a text without blanks is divided behind its punctuation, and what is no text anywhere", () => {
  expect(split("这是一个关于河流的很长的句子。".repeat(4), 15)).toHaveLength(4);
  expect(split("一".repeat(40), 20).join("")).toBe("一".repeat(40));
  expect(split("x".repeat(100), 32).map((chunk) => chunk.length)).toEqual([32, 32, 32, 4]);
});

test("blanks are a text of no chunks, however many", () => {
  expect(split(" \n".repeat(500_000), 5)).toEqual([]);
});

test("nothing of a text is lost or doubled, and no chunk is larger than asked", () => {
  const words = fc.array(fc.constantFrom("a", "bb. ", " ccc", "\n", "\n\n", "é🦊", "! ", "dddd", "   "), {
    maxLength: 60,
  });
  fc.assert(
    fc.property(words, fc.integer({ min: 40, max: 80 }), (parts, capacity) => {
      const text = parts.join("");
      const chunks = split(text, capacity);
      const plain = (whole: string): string => whole.replace(/\s+/g, "");
      expect(plain(chunks.join(""))).toBe(plain(text));
      for (const chunk of chunks) expect(plain(chunk).length).toBeLessThanOrEqual(capacity);
    }),
  );
});
