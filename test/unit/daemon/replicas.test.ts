import { expect, test } from "vitest";
import type { ModelSpec } from "../../../src/core/model.ts";
import { missingReplicas, type ReplicaFacts } from "../../../src/daemon/replicas.ts";

const GB = 1e9;
const cpu = { id: "cpu", vendor: "cpu" as const, memoryFreeBytes: 2 * GB };
const gpu = { id: "cuda:0", vendor: "nvidia" as const, memoryFreeBytes: 3 * GB };
const why = (model: Partial<ModelSpec>, facts: Partial<ReplicaFacts> = {}): string | null =>
  missingReplicas({
    model: { replicas: 2, preload: false, devices: [], ...model } as ModelSpec,
    running: 1,
    runningOfAll: 1,
    scheduler: { maxInstances: 10, maxLoad: 0.8 },
    devices: [cpu],
    estimate: () => GB,
    ...facts,
  });

test("nothing where there are enough, none was asked for, or the number is left to the machine", () => {
  expect(why({}, { running: 2 })).toBeNull();
  expect(why({}, { running: 0 })).toBeNull();
  expect(why({ replicas: "auto" })).toBeNull();
  expect(why({ preload: true })).toBeNull();
});

test("the limit of instances, the memory of every device, devices that are not there, or too little work", () => {
  expect(why({}, { runningOfAll: 10 })).toBe(
    "1 of 2 replicas: all 10 instances of `[scheduler] max_instances` are in use",
  );
  expect(why({}, { estimate: () => 4 * GB })).toBe("1 of 2 replicas: one more needs 4.0 GB, and cpu has 2.0 GB free");
  expect(why({}, { devices: [gpu, cpu], estimate: () => 4 * GB })).toContain("cuda:0 has 3.0 GB free");
  expect(why({ devices: ["cuda:7"] })).toBe("1 of 2 replicas: this machine has none of the devices cuda:7");
  expect(why({}, { estimate: () => null })).toContain("max_load = 0.8");
  expect(why({ preload: true }, { running: 0, estimate: () => 4 * GB })).toContain("0 of 2 replicas");
});
