import { expect, test } from "vitest";
import { cpu, gpu, model, World } from "./support.ts";

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

/** Two instances with four slots each, whose speed is known, and a light client that was there lately. */
function twoInstances(): World {
  const world = new World([model("a", { slots: 4, preload: true, replicas: 2 })], { devices: [gpu(0), gpu(1), cpu()] });
  for (const id of world.starting()) world.up(id);
  for (let count = 0; count < 4; count++)
    world.finish(world.arrive("a", { tenant: "light", promptTokens: 1000 }), { promptTokens: 1000, promptMs: 1000 });
  return world;
}

test("of two instances one has no prompt of a flooder's to work off, so that the next client's begins at once", () => {
  const world = twoInstances();
  for (let count = 0; count < 20; count++) world.arrive("a", { tenant: "flooder", promptTokens: 1000 });
  // Their prompts are worked off one after the other; whenever there is room for one more, it is given.
  for (let round = 0; round < 12; round++) {
    world.advance(1000);
    for (const record of world.state.instances.values())
      for (const { answering, facts } of record.inFlight)
        if (!answering) world.post({ type: "first-token", requestId: facts.id });
    const idle = [...world.state.instances.values()].filter(
      ({ unanswered, inFlight, slots }) => unanswered === 0 && inFlight.size < slots,
    );
    expect(idle.length, "instances that are ready for a prompt").toBeGreaterThanOrEqual(1);
  }
  expect(running(world)).toBe(6);
  const light = world.arrive("a", { tenant: "light", promptTokens: 1000 });
  expect(world.status(light)).toBe("running");
  expect(world.state.requests.get(light)?.stage).toMatchObject({ type: "running", alone: true });
});

test("a tenant that is alone has its prompts worked off everywhere at once", () => {
  const world = twoInstances();
  world.arrive("a", { tenant: "flooder" });
  world.advance(61_000);
  for (let count = 0; count < 20; count++) world.arrive("a", { tenant: "flooder", promptTokens: 1000 });
  expect([...world.state.instances.values()].map(({ unanswered }) => unanswered > 0)).toEqual([true, true]);
});
