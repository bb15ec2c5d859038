import { expect, test } from "vitest";
import { model, World } from "./support.ts";

test("a request that arrives while the instance stops waits for the next start", () => {
  const world = new World([model("a", { idleTtlMs: 1000 })]);
  world.warm("a");
  world.advance(1000);
  expect(world.all("stop")).toEqual([{ type: "stop", instanceId: "a@cpu", cause: "idle" }]);
  const request = world.arrive("a");
  expect(world.status(request)).toBe("waiting");
  world.gone("a@cpu");
  const [next] = world.starting();
  world.up(next ?? "");
  expect(world.instanceOf(request)).toBe(next);
});

test("a draining instance takes nothing new, although it still has free slots", () => {
  const world = new World([model("a", { slots: 4 })]);
  world.warm("a");
  const old = world.arrive("a");
  world.operate("stop", { instance: "a@cpu" });
  const request = world.arrive("a");
  expect([world.status(old), world.status(request)]).toEqual(["running", "waiting"]);
  world.finish(old);
  expect(world.inState("stopping")).toEqual(["a@cpu"]);
});

test("news of an older order does not make a stopping instance take work", () => {
  const world = new World([model("a")]);
  world.arrive("a");
  const effects = world.post({ type: "operate", operation: "stop", target: { instance: "a@cpu" } });
  expect(effects.some((effect) => effect.type === "stop")).toBe(true);
  const fleet = world.fleet.get("a@cpu");
  if (fleet) fleet.state = "starting";
  world.up("a@cpu");
  expect(world.dispatched).toEqual([]);
});
