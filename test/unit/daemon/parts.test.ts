import { expect, test } from "vitest";
import { type Part, startParts, stopParts } from "../../../src/daemon/parts.ts";

/** Parts that write down what happens to them; `broken` fail at a step such as `start b`. */
function parts(...broken: string[]): { readonly list: Part[]; readonly steps: string[] } {
  const steps: string[] = [];
  const step = async (text: string): Promise<void> => {
    await Promise.resolve();
    steps.push(text);
    if (broken.some((one) => text.startsWith(one))) throw new Error(`${text} failed`);
  };
  const part = (name: string): Part => ({
    name,
    start: () => step(`start ${name}`),
    stop: (now) => step(`stop ${name}${now ? " now" : ""}`),
  });
  return { list: [part("a"), part("b"), { name: "silent" }, part("c")], steps };
}

test("parts start one after the other, and stop in the opposite order", async () => {
  const { list, steps } = parts();
  await startParts(list);
  await stopParts(list, false);
  expect(steps).toEqual(["start a", "start b", "start c", "stop c", "stop b", "stop a"]);
});

test("when a part cannot start, all are stopped at once and the rest never begins", async () => {
  const { list, steps } = parts("start b");
  await expect(startParts(list)).rejects.toThrow("start b failed");
  expect(steps).toEqual(["start a", "start b", "stop c now", "stop b now", "stop a now"]);
});

test("a part that cannot be stopped keeps no other from it, and is reported", async () => {
  const { list, steps } = parts("stop c", "stop b");
  await expect(stopParts(list, false)).rejects.toThrow("stop c failed");
  expect(steps).toEqual(["stop c", "stop b", "stop a"]);
});

test("why a daemon cannot start is not hidden by what fails afterwards", async () => {
  const { list } = parts("start c", "stop b");
  await expect(startParts(list)).rejects.toThrow("start c failed");
});

test("a daemon that is told to stop while it starts begins no further part", async () => {
  const { list, steps } = parts();
  await startParts(list, () => steps.length > 0);
  await stopParts(list, false);
  expect(steps).toEqual(["start a", "stop c", "stop b", "stop a"]);
});
