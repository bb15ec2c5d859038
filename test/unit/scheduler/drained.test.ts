import { expect, test } from "vitest";
import { model, World } from "./support.ts";
import { forwarded, node, tell } from "./support-remotes.ts";

const drain = (world: World, isDrained: boolean): void =>
  world.reload({ settings: { ...world.config.settings, isDrained } });

test("a drained machine finishes what runs, however long it takes, and sends what comes to others", () => {
  const world = new World([model("a", { slots: 4 })]);
  tell(world, [node("b")]);
  world.warm("a");
  const running = world.arrive("a");
  drain(world, true);
  const next = world.arrive("a");
  world.advance(10 * world.config.settings.drainTimeoutMs);
  expect(world.status(running)).toBe("running");
  expect(forwarded(world)).toEqual({ [next]: "b" });
  world.finish(running);
  expect(world.all("stop").map(({ instanceId }) => instanceId)).toEqual(["a@cpu"]);
});

test("what waits when a machine is drained goes to others, or is refused with a time to come back", () => {
  const world = new World([model("a", { slots: 1 }), model("alone", { slots: 1 })]);
  world.warm("a");
  world.warm("alone");
  world.arrive("a");
  world.arrive("alone");
  const [moved, refused] = [world.arrive("a"), world.arrive("alone")];
  tell(world, [node("b", { slots: 1 })]);
  drain(world, true);
  expect(forwarded(world)[moved]).toBe("b");
  expect(world.requests.get(refused)).toMatchObject({
    status: "rejected",
    refusal: { code: "node_unavailable", retryAfterS: 10 },
  });
});

test("a drained machine starts nothing, and starts again what it is to keep loaded when it is used again", () => {
  const world = new World([model("a", { preload: true })], { settings: { isDrained: true } });
  expect(world.starting()).toEqual([]);
  const refused = world.arrive("a");
  expect(world.status(refused)).toBe("rejected");
  drain(world, false);
  expect(world.starting()).toEqual(["a@cpu"]);
});
