import fc from "fast-check";
import { expect, test } from "vitest";
import { grantThreads, type ThreadRequest } from "../../../src/fleet/threads.ts";

const request = (changes: Partial<ThreadRequest>): ThreadRequest => ({
  budget: 8,
  running: [],
  computesOn: "cpu",
  wanted: "auto",
  furtherCpuInstances: 0,
  ...changes,
});

test("instances that share the CPU get equal shares, a lone one all of it", () => {
  expect(grantThreads(request({}))).toBe(8);
  expect(grantThreads(request({ furtherCpuInstances: 1 }))).toBe(4);
  expect(grantThreads(request({ running: [{ threads: 4 }] }))).toBe(4);
  expect(grantThreads(request({ budget: 2, furtherCpuInstances: 1 }))).toBe(1);
  expect(grantThreads(request({ budget: 2, furtherCpuInstances: 5 }))).toBe(1);
});

test("an instance on a GPU takes two threads and leaves CPU instances theirs", () => {
  expect(grantThreads(request({ computesOn: "gpu" }))).toBe(2);
  expect(grantThreads(request({ computesOn: "gpu", budget: 3, furtherCpuInstances: 2 }))).toBe(1);
});

test("a number in the model's file holds as far as threads are free", () => {
  expect(grantThreads(request({ wanted: 3, furtherCpuInstances: 3 }))).toBe(3);
  expect(grantThreads(request({ wanted: 3, running: [{ threads: 6 }] }))).toBe(2);
});

test("where none is free there is none to give", () => {
  expect(grantThreads(request({ running: [{ threads: 5 }, { threads: 3 }] }))).toBe(0);
  expect(grantThreads(request({ running: [{ threads: 9 }] }))).toBe(0);
});

test("all together never use more than the budget, and nobody starves while a thread is free", () => {
  const start = fc.record({
    computesOn: fc.constantFrom("cpu" as const, "gpu" as const),
    wanted: fc.oneof(fc.constant("auto" as const), fc.integer({ min: 1, max: 64 })),
    furtherCpuInstances: fc.integer({ min: 0, max: 12 }),
  });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.array(start, { maxLength: 20 }), (budget, starts) => {
      const running: { threads: number }[] = [];
      let used = 0;
      for (const each of starts) {
        const threads = grantThreads({ budget, running, ...each });
        expect(Number.isInteger(threads)).toBe(true);
        if (used < budget) expect(threads).toBeGreaterThanOrEqual(1);
        used += threads;
        expect(used).toBeLessThanOrEqual(budget);
        if (threads > 0) running.push({ threads });
      }
    }),
  );
});

test("equal instances get equal shares, but for what does not divide", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 16 }), (budget, count) => {
      fc.pre(count <= budget);
      const running: { threads: number }[] = [];
      for (let left = count - 1; left >= 0; left--) running.push({ threads: grantThreads(request({ budget, running, furtherCpuInstances: left })) });
      const threads = running.map((user) => user.threads);
      expect(Math.max(...threads) - Math.min(...threads)).toBeLessThanOrEqual(1);
      expect(threads.reduce((sum, value) => sum + value, 0)).toBe(budget);
    }),
  );
});
