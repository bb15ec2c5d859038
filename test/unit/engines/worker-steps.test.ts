import { expect, test } from "vitest";
import { Steps } from "../../../src/engines/node-llama-cpp/worker/steps.ts";

const turns = async (): Promise<void> => {
  for (let turn = 0; turn < 5; turn++) await Promise.resolve();
};

test("who is done waits for those that are being evaluated, and all go on together", async () => {
  const steps = new Steps();
  const done: string[] = [];
  const [slow, quick] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const all = [
    steps.run(() => slow.promise).then(() => done.push("slow")),
    steps.run(() => quick.promise).then(() => done.push("quick")),
  ];
  quick.resolve();
  await turns();
  expect(done).toEqual([]);
  slow.resolve();
  await Promise.all(all);
  expect(done.toSorted()).toEqual(["quick", "slow"]);
});

test("one alone waits for nobody, and a failed evaluation holds nobody up", async () => {
  const steps = new Steps();
  expect(await steps.run(async () => 1)).toBe(1);
  const other = Promise.withResolvers<number>();
  const waiting = steps.run(() => Promise.resolve(2));
  const failed = steps.run(() => other.promise);
  other.reject(new Error("lost"));
  await expect(failed).rejects.toThrow("lost");
  expect(await waiting).toBe(2);
});
