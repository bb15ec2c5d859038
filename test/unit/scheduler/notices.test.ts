import { expect, test } from "vitest";
import { model, World } from "./support.ts";

test("a request that joins is told once, even when the whole queue is told in the same decision", () => {
  const world = new World([model("a", { slots: 1 })]);
  world.arrive("a");
  world.now += 5_000;
  const second = world.arrive("a");
  expect(world.all("waiting").filter((effect) => effect.requestId === second)).toHaveLength(1);
});

test("the expected start follows from the load time and the time a slot is held, once both are known", () => {
  const world = new World([model("a", { slots: 2 })]);
  const cold = world.arrive("a");
  expect(world.all("waiting").find((effect) => effect.requestId === cold)?.wait.expectedStartMs).toBeNull();
  world.now += 3_000;
  world.up("a@cpu");
  world.now += 4_000;
  world.finish(cold);
  for (let count = 0; count < 3; count++) world.arrive("a");
  expect(world.all("waiting").at(-1)?.wait).toEqual({ reason: "queued", place: 1, expectedStartMs: 2_000 });
});
