import { describe, expect, test } from "vitest";
import { ThreadGovernor } from "../../../src/engines/node-llama-cpp/worker/threads.ts";

/**
 * Decodes for `forMs` of simulated time; `stepMs` is what a step costs with so many threads. Returns the share of it
 * with all threads.
 */
function decode(
  governor: ThreadGovernor,
  from: number,
  forMs: number,
  stepMs: (threads: number) => number,
): { end: number; shareWithAll: number } {
  let now = from;
  let withAll = 0;
  while (now < from + forMs) {
    const ms = stepMs(governor.threads);
    if (governor.threads > 1) withAll += ms;
    now += ms;
    governor.observe("1 0 decode", ms, now);
  }
  return { end: now, shareWithAll: withAll / forMs };
}

const idle = (threads: number): number => (threads === 1 ? 16 : 9);
const crowded = (threads: number): number => (threads === 1 ? 30 : 300);

describe("threads of the embedded engine", () => {
  test("on an idle machine all threads work, after a few steps for comparison", () => {
    expect(decode(new ThreadGovernor(2, () => undefined), 0, 5000, idle).shareWithAll).toBeGreaterThan(0.95);
  });

  test("on a crowded one a single thread does nearly everything", () => {
    const governor = new ThreadGovernor(2, () => undefined);
    const settled = decode(governor, 0, 10_000, crowded);
    expect(decode(governor, settled.end, 40_000, crowded).shareWithAll).toBeLessThan(0.1);
  });

  test("when the crowd leaves, all threads come back within seconds", () => {
    const governor = new ThreadGovernor(2, () => undefined);
    const after = decode(governor, 0, 60_000, crowded);
    const back = decode(governor, after.end, 9000, idle);
    expect(decode(governor, back.end, 5000, idle).shareWithAll).toBeGreaterThan(0.95);
  });

  test("one thread is never changed", () => {
    const applied: number[] = [];
    const governor = new ThreadGovernor(1, (threads) => applied.push(threads));
    decode(governor, 0, 1000, crowded);
    expect(applied).toEqual([]);
  });
});
