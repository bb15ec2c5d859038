import { expect, test } from "vitest";
import { model, World } from "./support.ts";

test("an instance that just got ready serves who waited for it before anybody may evict it", () => {
  const world = new World([model("a"), model("b")], { settings: { maxInstances: 1 } });
  const waiter = world.arrive("a");
  const rival = world.arrive("b");
  world.up("a@cpu");
  expect(world.instanceOf(waiter)).toBe("a@cpu");
  expect(world.all("stop")).toEqual([]);
  // Nothing has been sent to it yet; it is taken all the same, until the lease is back.
  world.advance(60_000);
  expect(world.all("stop")).toEqual([]);
  world.finish(waiter);
  expect(world.all("stop")).toEqual([{ type: "stop", instanceId: "a@cpu", cause: "evicted" }]);
  world.gone("a@cpu");
  world.up("b@cpu");
  expect(world.status(rival)).toBe("running");
});
