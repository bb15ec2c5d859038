import { expect, test } from "vitest";
import { cpu, defaultSettings, gpu, model, World } from "./support.ts";

test("only the model that changed is drained and started again; running requests end first", () => {
  const world = new World([model("a"), model("b")]);
  world.warm("a");
  world.warm("b");
  const running = world.arrive("a");
  world.reload({ models: [model("a", { fingerprint: "a-2", slots: 4 }), model("b")] });
  expect(world.inState("draining")).toEqual(["a@cpu"]);
  expect(world.status(running)).toBe("running");
  world.finish(running);
  expect(world.all("stop")).toEqual([{ type: "stop", instanceId: "a@cpu", cause: "reload" }]);
  world.gone("a@cpu");
  expect(world.starting()).toEqual(["a@cpu"]);
  expect(world.fleet.get("a@cpu")?.order.model.load.slots).toBe(4);
});

test("an equal configuration changes nothing", () => {
  const world = new World([model("a", { preload: true })]);
  world.up("a@cpu");
  const before = world.effects.length;
  world.reload({});
  expect(world.effects.slice(before)).toEqual([]);
});

test("the queue of a changed model is kept and served by the new instance", () => {
  const world = new World([model("a", { slots: 1 })]);
  world.warm("a");
  const running = world.arrive("a");
  const waiting = world.arrive("a");
  world.reload({ models: [model("a", { slots: 1, fingerprint: "a-2" })] });
  world.finish(running);
  world.gone("a@cpu");
  world.up("a@cpu");
  expect(world.status(waiting)).toBe("running");
});

test("a removed model drains and stops, and who waits for it is told", () => {
  const world = new World([model("a", { slots: 1 }), model("b")]);
  world.warm("a");
  const running = world.arrive("a");
  const waiting = world.arrive("a");
  world.reload({ models: [model("b")] });
  expect(world.refusalOf(waiting)?.code).toBe("model_not_found");
  expect(world.refusalOf(world.arrive("a"))?.code).toBe("model_not_found");
  world.finish(running);
  world.gone("a@cpu");
  expect(world.state.models.has("a")).toBe(false);
  expect(world.starting()).toEqual([]);
});

test("a drain that takes longer than the time-out ends; its requests are lost with the reason", () => {
  const world = new World([model("a")], { settings: { drainTimeoutMs: 5_000 } });
  world.warm("a");
  const running = world.arrive("a");
  world.reload({ models: [model("a", { fingerprint: "a-2" })] });
  world.advance(4_999);
  expect(world.status(running)).toBe("running");
  world.advance(1);
  expect(world.status(running)).toBe("lost");
  expect(world.inState("stopping")).toEqual(["a@cpu"]);
});

test("settings that do not reach the engine take effect without a restart", () => {
  const world = new World([model("a")]);
  world.warm("a");
  world.reload({ models: [model("a", { idleTtlMs: 1_000 })] });
  expect(world.all("stop")).toEqual([]);
  world.advance(1_000);
  expect(world.all("stop")).toHaveLength(1);
});

test("fewer replicas, or a lower max_instances, ends idle ones first and busy ones never", () => {
  const world = new World([model("a", { replicas: 2, preload: true })], { devices: [gpu(0), gpu(1), cpu()] });
  for (const id of world.starting()) world.up(id);
  const running = world.arrive("a");
  world.reload({ models: [model("a", { replicas: 1, preload: true })] });
  expect(world.all("stop").map((effect) => effect.instanceId)).not.toContain(world.instanceOf(running));
  expect(world.all("stop")).toHaveLength(1);
  world.reload({ settings: { ...defaultSettings, maxInstances: 0 } });
  expect(world.all("stop")).toHaveLength(1);
  world.finish(running);
  expect(world.all("stop")).toHaveLength(2);
});

test("a model that failed is tried at once with its new settings", () => {
  const world = new World([model("a")]);
  world.arrive("a");
  world.die("a@cpu", "exited", 60_000);
  world.reload({ models: [model("a", { fingerprint: "a-2" })] });
  const request = world.arrive("a");
  world.up("a@cpu");
  expect(world.status(request)).toBe("running");
});

test("a model that comes back while its old instances drain is served", () => {
  const world = new World([model("a")]);
  world.warm("a");
  const old = world.arrive("a");
  world.reload({ models: [] });
  world.reload({ models: [model("a")] });
  const request = world.arrive("a");
  world.finish(old);
  world.gone("a@cpu");
  for (const id of world.starting()) world.up(id);
  expect(world.status(request)).toBe("running");
});

test("a model that is to be preloaded from now on is started, though nothing else of it changed", () => {
  const world = new World([model("a")]);
  world.reload({ models: [model("a", { preload: true })] });
  expect(world.starting()).toEqual(["a@cpu"]);
});
