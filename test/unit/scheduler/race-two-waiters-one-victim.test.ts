import { expect, test } from "vitest";
import { model, World } from "./support.ts";

test("two models that wait for room never choose the same victim", () => {
  const world = new World([model("a"), model("b"), model("c"), model("d")], { settings: { maxInstances: 2 } });
  world.warm("a");
  const busy = world.arrive("b");
  world.up("b@cpu");
  const third = world.arrive("c");
  const fourth = world.arrive("d");
  expect(world.all("stop").map((effect) => effect.instanceId)).toEqual(["a@cpu"]);
  world.gone("a@cpu");
  expect(world.starting()).toEqual(["c@cpu"]);
  world.finish(busy);
  expect(world.all("stop").map((effect) => effect.instanceId)).toEqual(["a@cpu", "b@cpu"]);
  world.gone("b@cpu");
  expect(world.starting().sort()).toEqual(["c@cpu", "d@cpu"]);
  for (const id of world.starting()) world.up(id);
  expect([third, fourth].map((id) => world.status(id))).toEqual(["running", "running"]);
});

test("one waiter does not take two places by itself", () => {
  const world = new World([model("a"), model("b"), model("c")], { settings: { maxInstances: 2 } });
  world.warm("a");
  world.warm("b");
  for (let count = 0; count < 10; count++) world.arrive("c");
  expect(world.all("stop")).toHaveLength(1);
});
