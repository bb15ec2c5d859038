import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bar, formatBytes, formatCount, formatDuration, formatRate, truncate } from "../../../src/ui/format.ts";

describe("numbers for people", () => {
  test.each([
    [null, "-"],
    [0, "0 B"],
    [999, "999 B"],
    [1024, "1.0 kB"],
    [1536, "1.5 kB"],
    [999_600, "1.0 MB"],
    [21.5 * 1024 ** 3, "23.1 GB"],
    [80 * 1024 ** 3, "85.9 GB"],
    [512 * 1024 ** 3, "550 GB"],
    [5000 * 1024 ** 4, "5498 TB"],
  ])("%s bytes are %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  test.each([
    [null, "-"],
    [0, "<1s"],
    [-5, "<1s"],
    [12_000, "12s"],
    [60_000, "1m"],
    [303_000, "5m 3s"],
    [7_500_000, "2h 5m"],
    [3_600_000, "1h"],
    [273_600_000, "3d 4h"],
  ])("%s ms are %s", (milliseconds, text) => {
    expect(formatDuration(milliseconds)).toBe(text);
  });

  test("rates and counts", () => {
    expect([formatRate(null), formatRate(8.34), formatRate(99.96), formatRate(134.4)]).toEqual([
      "-",
      "8.3",
      "100",
      "134",
    ]);
    expect([formatCount(950), formatCount(12_400), formatCount(999_960), formatCount(3_100_000)]).toEqual([
      "950",
      "12.4k",
      "1.0M",
      "3.1M",
    ]);
  });
});

test("no figure of bytes is longer than its column", () => {
  fc.assert(
    fc.property(fc.double({ min: 0, max: 999 * 1024 ** 4, noNaN: true }), (bytes) => formatBytes(bytes).length <= 8),
  );
});

test("a bar has its width whatever it shows", () => {
  fc.assert(
    fc.property(
      fc.double(),
      fc.integer({ min: 1, max: 60 }),
      (fraction, width) => bar(fraction, width).length === width,
    ),
  );
  expect(bar(0, 4)).toBe("░░░░");
  expect(bar(1, 4)).toBe("████");
  expect(bar(0.5, 4)).toBe("██░░");
  expect(bar(7, 2)).toBe("██");
});

test("cut text fits, and says that it was cut", () => {
  fc.assert(
    fc.property(
      fc.string(),
      fc.integer({ min: 0, max: 30 }),
      fc.boolean(),
      (text, width, keepEnd) => truncate(text, width, keepEnd).length <= Math.max(width, 0) || text.length <= width,
    ),
  );
  expect(truncate("abcdef", 4)).toBe("abc…");
  expect(truncate("abcdef", 4, true)).toBe("…def");
});
