import { expect, test } from "vitest";
import { oneAtATime } from "../../../src/core/one-at-a-time.ts";

test("whoever asks during a run waits for one that begins after it, which all share", async () => {
  const events: string[] = [];
  let runs = 0;
  const run = oneAtATime(async () => {
    const number = ++runs;
    events.push(`${number} begins`);
    await new Promise(setImmediate);
    events.push(`${number} ends`);
  });
  const first = run();
  await null;
  expect(events).toEqual(["1 begins"]);
  const during = [run(), run(), run()];
  await first;
  expect(events.slice(0, 2)).toEqual(["1 begins", "1 ends"]);
  await Promise.all(during);
  expect(events).toEqual(["1 begins", "1 ends", "2 begins", "2 ends"]);
});

test.each(Array.from({ length: 8 }, (_, steps) => steps))(
  "a call %i steps after the work is done runs it again",
  async (steps) => {
    let runs = 0;
    const run = oneAtATime(async () => {
      await null;
      runs += 1;
    });
    void run();
    for (let step = 0; step < steps + 2; step++) await null;
    await run();
    expect(runs).toBe(2);
  },
);

test("a run that fails is its callers' to know of, and holds up no other", async () => {
  let runs = 0;
  const run = oneAtATime(async () => {
    runs += 1;
    if (runs === 1) throw new Error("full");
    return runs;
  });
  await expect(run()).rejects.toThrow("full");
  expect(await run()).toBe(2);
});
