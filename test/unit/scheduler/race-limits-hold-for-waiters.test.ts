import { expect, test } from "vitest";
import { model, World } from "./support.ts";

test("the limit of the queue holds for those who wait for a load, not only for those who wait for a slot", () => {
  const world = new World([model("a")], { settings: { maxQueuedPerModel: 3 } });
  for (let count = 0; count < 5; count++) world.arrive("a");
  expect([...world.requests.values()].map((request) => request.status)).toEqual([
    "waiting",
    "waiting",
    "waiting",
    "rejected",
    "rejected",
  ]);
});

test("waiters who are let in all at once still get no more slots than there are", () => {
  const world = new World([model("a", { slots: 2 })]);
  for (let count = 0; count < 10; count++) world.arrive("a");
  world.up("a@cpu");
  expect(world.dispatched).toHaveLength(2);
  expect(world.state.instances.get("a@cpu")?.inFlight.size).toBe(2);
});

test("models that wait for room never start more instances than max_instances between them", () => {
  const names = ["a", "b", "c", "d", "e"];
  const world = new World(
    names.map((name) => model(name)),
    { settings: { maxInstances: 2 } },
  );
  for (const name of names) world.arrive(name);
  expect(world.starting()).toHaveLength(2);
});
