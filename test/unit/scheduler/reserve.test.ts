import { expect, test } from "vitest";
import { model, World } from "./support.ts";

function flooded(): World {
  const world = new World([model("a", { slots: 8, preload: true })]);
  world.up("a@cpu");
  world.finish(world.arrive("a", { tenant: "light" }));
  for (let count = 0; count < 20; count++) world.arrive("a", { tenant: "flooder" });
  return world;
}
const running = (world: World): number => world.state.models.get("a")?.inFlight ?? 0;

test("who floods a model leaves a slot free for a client that was there lately, and that one needs not wait", () => {
  const world = flooded();
  expect(running(world)).toBe(7);
  expect(world.status(world.arrive("a", { tenant: "light" }))).toBe("running");
  expect(running(world)).toBe(8);
});

test("a tenant that has been alone for a minute has all slots", () => {
  const world = flooded();
  world.advance(30_000);
  expect(running(world)).toBe(7);
  world.advance(31_000);
  expect(running(world)).toBe(8);
});

test("a model with few slots keeps none free", () => {
  const world = new World([model("a", { slots: 2, preload: true })]);
  world.up("a@cpu");
  world.finish(world.arrive("a", { tenant: "light" }));
  for (let count = 0; count < 5; count++) world.arrive("a", { tenant: "flooder" });
  expect(running(world)).toBe(2);
});
