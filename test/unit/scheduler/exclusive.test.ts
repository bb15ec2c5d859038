import { expect, test } from "vitest";
import { snapshotOf } from "../../../src/scheduler/snapshot.ts";
import { gpu, model, World } from "./support.ts";

function shared(): World {
  const world = new World(
    [model("alone", { slots: 2, exclusive: true, preload: true }), model("other", { slots: 2, preload: true })],
    { devices: [gpu(0)] },
  );
  for (const id of world.starting()) world.up(id);
  return world;
}
const holder = (world: World): string | undefined => snapshotOf(world.state, world.now).exclusive.get("cuda:0");

test("while a request of an exclusive model runs nothing else runs on its device, and the snapshot says whose it is", () => {
  const world = shared();
  const first = world.arrive("alone");
  expect(holder(world)).toBe(first);
  const [second, other] = [world.arrive("alone"), world.arrive("other")];
  expect([world.status(second), world.status(other)]).toEqual(["waiting", "waiting"]);
  world.finish(first);
  // Who waited for the end of it goes first, then the next exclusive one when the device is free.
  expect([world.status(second), world.status(other)]).toEqual(["waiting", "running"]);
  expect(holder(world)).toBeUndefined();
  world.finish(other);
  expect(world.status(second)).toBe("running");
});

test("an exclusive request on a busy device lets nothing new begin there until it has had its turn", () => {
  const world = shared();
  const running = [world.arrive("other"), world.arrive("other")];
  const wanted = world.arrive("alone");
  world.finish(running[0] ?? "");
  const late = world.arrive("other");
  expect([world.status(wanted), world.status(late)]).toEqual(["waiting", "waiting"]);
  world.finish(running[1] ?? "");
  expect([world.status(wanted), world.status(late)]).toEqual(["running", "waiting"]);
  world.finish(wanted);
  expect(world.status(late)).toBe("running");
});

test("a claim ends when the one who made it leaves, or its instance dies", () => {
  const world = shared();
  const running = world.arrive("other");
  const wanted = world.arrive("alone");
  expect(world.status(world.arrive("other"))).toBe("waiting");
  world.cancel(wanted);
  expect(world.status("r3")).toBe("running");
  world.arrive("alone");
  const blocked = world.arrive("other");
  world.finish(running);
  expect(world.status(blocked)).toBe("waiting");
  world.die("alone@cuda:0", "died", 60_000);
  expect(world.status(blocked)).toBe("running");
});

test("a device whose exclusive request is lost is free again", () => {
  const world = shared();
  const lost = world.arrive("alone");
  const other = world.arrive("other");
  world.die("alone@cuda:0");
  expect([world.status(lost), world.status(other), holder(world)]).toEqual(["lost", "running", undefined]);
});

test("an exclusive model with one of two instances up on a busy device claims it once, and gets its turn", () => {
  const world = new World(
    [
      model("alone", { exclusive: true, replicas: 2, preload: true, slots: 1 }),
      model("other", { preload: true, slots: 1 }),
    ],
    { devices: [gpu(0)] },
  );
  for (const id of ["alone@cuda:0", "other@cuda:0"]) world.up(id);
  const running = world.arrive("other");
  const wanted = world.arrive("alone");
  expect(world.status(wanted)).toBe("waiting");
  world.finish(running);
  expect(world.status(wanted)).toBe("running");
});
