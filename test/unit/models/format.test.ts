import { describe, expect, it } from "vitest";
import { pullLines } from "../../../commands/support/models/pull-progress.ts";
import { formatAge, formatBytes, formatParameters } from "../../../src/models/format.ts";
import { progressGate } from "../../../src/models/pull/progress.ts";
import type { PullProgress } from "../../../src/models/pull/types.ts";

describe("figures for people", () => {
  it.each([
    [0, "0 B"],
    [999, "999 B"],
    [1000, "1.0 kB"],
    [98_362_432, "98.4 MB"],
    [999_600, "1.0 MB"],
    [123_456_789, "123 MB"],
    [5e12, "5.0 TB"],
  ])("%d bytes are %s", (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it.each([
    [30, "just now"],
    [60, "1 minute ago"],
    [7200, "2 hours ago"],
    [86_400 * 3, "3 days ago"],
    [86_400 * 15, "2 weeks ago"],
    [86_400 * 70, "2 months ago"],
    [86_400 * 800, "2 years ago"],
    [-50, "just now"],
  ])("%d seconds are %s", (seconds, text) => {
    expect(formatAge(0, seconds * 1000)).toBe(text);
  });

  it.each([
    [22_565_376, "23M"],
    [134_515_008, "135M"],
    [1_700_000_000, "1.7B"],
    [999_900_000, "1.0B"],
  ])("%d parameters are %s", (count, text) => {
    expect(formatParameters(count)).toBe(text);
  });
});

describe("progress", () => {
  it("is told at most ten times a second, but every change of phase and the end always", () => {
    const told: PullProgress[] = [];
    let now = 0;
    const report = progressGate(
      (progress) => told.push(progress),
      () => now,
    );
    for (let bytes = 1; bytes <= 1000; bytes++) {
      report("download", "s", bytes, 1000);
      now += 1;
    }
    report("verify", "s", 1000, 1000);
    expect(told.filter(({ phase }) => phase === "download").length).toBeLessThanOrEqual(12);
    expect(told.slice(-2).map(({ phase, bytes }) => [phase, bytes])).toEqual([
      ["download", 1000],
      ["verify", 1000],
    ]);
  });

  it("shows a bar, amounts and the recent speed", () => {
    let now = 0;
    const line = pullLines("smollm2", () => now);
    const at = (bytes: number, phase: PullProgress["phase"] = "download") =>
      line({ phase, source: "hub", bytes, totalBytes: 100_000_000 });
    expect(at(0)).toBe("smollm2  ░░░░░░░░░░░░░░░░░░░░   0 %  0 B of 100 MB  hub");
    now = 1000;
    expect(at(50_000_000)).toBe("smollm2  ██████████░░░░░░░░░░  50 %  50.0 MB of 100 MB  50.0 MB/s  1 s left  hub");
    now = 5000;
    expect(at(60_000_000)).not.toContain("/s");
    expect(at(100_000_000, "verify")).toBe("smollm2  checking  ████████████████████ 100 %  100 MB of 100 MB  hub");
    expect(line({ phase: "wait", source: "another pull of the same model", bytes: 0, totalBytes: null })).toBe(
      "smollm2: waiting for another pull of the same model",
    );
  });
});
