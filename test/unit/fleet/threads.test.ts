import fc from "fast-check";
import { expect, test } from "vitest";
import { cpuInstancesOf, grantThreads, type ThreadUser } from "../../../src/fleet/threads.ts";
import { testDevice, testModel } from "../../support/fake-engine.ts";

test("instances that share the CPU get equal shares, a lone one all of it", () => {
  expect(grantThreads([], "cpu", "auto", 8, 1)).toBe(8);
  expect(grantThreads([], "cpu", "auto", 8, 2)).toBe(4);
  expect(grantThreads([{ device: "cpu", threads: 4 }], "cpu", "auto", 8, 2)).toBe(4);
  expect(grantThreads([], "cpu", "auto", 2, 2)).toBe(1);
});

test("an instance on a GPU takes two threads and leaves CPU instances theirs", () => {
  expect(grantThreads([], "cuda:0", "auto", 16, 0)).toBe(2);
  expect(grantThreads([], "cuda:0", "auto", 3, 2)).toBe(1);
});

test("a number in the model's file holds as far as threads are free", () => {
  expect(grantThreads([], "cpu", 3, 8, 4)).toBe(3);
  expect(grantThreads([{ device: "cpu", threads: 6 }], "cpu", 3, 8)).toBe(2);
});

test("all together never use more than the budget", () => {
  const device = fc.constantFrom("cpu", "cuda:0", "cuda:1");
  const wanted = fc.oneof(fc.constant("auto" as const), fc.integer({ min: 1, max: 64 }));
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.array(fc.record({ device, wanted }), { maxLength: 12 }), (budget, starts) => {
      const cpuInstances = starts.filter((start) => start.device === "cpu").length;
      const running: ThreadUser[] = [];
      for (const start of starts.slice(0, budget)) {
        const used = running.reduce((sum, user) => sum + user.threads, 0);
        const threads = grantThreads(running, start.device, start.wanted, budget, cpuInstances);
        expect(threads).toBeGreaterThanOrEqual(1);
        expect(Number.isInteger(threads)).toBe(true);
        if (used < budget) expect(used + threads).toBeLessThanOrEqual(budget);
        running.push({ device: start.device, threads });
      }
    }),
  );
});

test("equal instances get equal shares, but for what does not divide", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 16 }), (budget, count) => {
      fc.pre(count <= budget);
      const running: ThreadUser[] = [];
      for (let index = 0; index < count; index++) running.push({ device: "cpu", threads: grantThreads(running, "cpu", "auto", budget, count) });
      const threads = running.map((user) => user.threads);
      expect(Math.max(...threads) - Math.min(...threads)).toBeLessThanOrEqual(1);
      expect(threads.reduce((sum, value) => sum + value, 0)).toBe(budget);
    }),
  );
});

test("the CPU is shared by the models that run there", () => {
  const cpu = testDevice();
  const gpu = testDevice({ id: "cuda:0", vendor: "nvidia" });
  const models = [testModel({ replicas: 2 }), testModel({ replicas: "auto" }), testModel({ devices: ["cpu"] })];
  expect(cpuInstancesOf(models, [cpu], 10)).toBe(4);
  expect(cpuInstancesOf(models, [cpu], 3)).toBe(3);
  expect(cpuInstancesOf(models, [gpu, cpu], 10)).toBe(1);
});
