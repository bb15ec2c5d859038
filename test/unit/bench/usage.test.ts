import { expect, test } from "vitest";
import { usageOf } from "../../../bench/lib/usage.ts";

test("the CPU of a process is that of its threads, finer than a tick, and one that has gone uses nothing", () => {
  const before = usageOf(process.pid);
  const { user, system } = process.cpuUsage();
  expect(before.cpuMs).toBeGreaterThan(0);
  // Threads that have ended count for the process alone.
  expect(before.cpuMs).toBeLessThan((user + system) / 1000 + 100);
  expect(before.rssBytes).toBeGreaterThan(10 * 2 ** 20);
  const spun = Array.from({ length: 200_000 }, (_, index) => Math.sqrt(index)).reduce((sum, root) => sum + root, 0);
  expect(spun).toBeGreaterThan(0);
  expect(usageOf(process.pid).cpuMs).toBeGreaterThan(before.cpuMs);
  expect(usageOf(2 ** 30)).toEqual({ cpuMs: 0, rssBytes: 0 });
});
