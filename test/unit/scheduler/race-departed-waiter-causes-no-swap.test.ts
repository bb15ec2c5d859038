import { expect, test } from "vitest";
import { model, World } from "./support.ts";

test("a waiter who has gone causes no start and no eviction once there is room", () => {
  const world = new World([model("a"), model("b")], { settings: { maxInstances: 1 } });
  world.warm("a");
  const busy = world.arrive("a");
  world.cancel(world.arrive("b"));
  world.finish(busy);
  expect(world.all("stop")).toEqual([]);
  expect(world.all("start").map((effect) => effect.order.instanceId)).toEqual(["a@cpu"]);
});

test("a waiter who goes while the victim stops causes no start", () => {
  const world = new World([model("a"), model("b")], { settings: { maxInstances: 1 } });
  world.warm("a");
  const waiter = world.arrive("b");
  world.cancel(waiter);
  world.gone("a@cpu");
  expect(world.starting()).toEqual([]);
  expect(world.state.instances.size).toBe(0);
});

test("a load that nobody waits for any longer goes on, and serves the next at once", () => {
  const world = new World([model("a")]);
  world.cancel(world.arrive("a"));
  expect(world.all("stop")).toEqual([]);
  world.up("a@cpu");
  expect(world.status(world.arrive("a"))).toBe("running");
});

test("a request that leaves with a slot gives it to the next", () => {
  const world = new World([model("a", { slots: 1 })]);
  const first = world.arrive("a");
  const second = world.arrive("a");
  world.up("a@cpu");
  world.cancel(first);
  expect(world.status(second)).toBe("running");
});
