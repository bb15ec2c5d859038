import { expect, test } from "vitest";
import { cpu, gpu, model, World } from "./support.ts";

test("stop lets running requests end, and the next request starts the model again", () => {
  const world = new World([model("a")]);
  world.warm("a");
  const running = world.arrive("a");
  world.operate("stop", { instance: "a@cpu" });
  expect(world.all("stop")).toEqual([]);
  world.finish(running);
  expect(world.all("stop")).toEqual([{ type: "stop", instanceId: "a@cpu", cause: "stopped" }]);
  world.gone("a@cpu");
  expect(world.starting()).toEqual([]);
  world.arrive("a");
  expect(world.starting()).toEqual(["a@cpu"]);
});

test("restart brings the instance back, and keeps its pin", () => {
  const world = new World([model("a", { idleTtlMs: 1000 })]);
  world.warm("a");
  world.operate("pin", { instance: "a@cpu" });
  world.operate("restart", { instance: "a@cpu" });
  world.gone("a@cpu");
  world.up("a@cpu");
  world.advance(60_000);
  expect(world.inState("ready")).toEqual(["a@cpu"]);
});

test("restart of a failed instance does not wait for the pause to end", () => {
  const world = new World([model("a")]);
  world.arrive("a");
  world.die("a@cpu", "exited", 60_000);
  world.operate("restart", { instance: "a@cpu" });
  expect(world.starting()).toEqual(["a@cpu"]);
});

test("pin and unpin of a model hold for all its instances", () => {
  const world = new World([model("a", { idleTtlMs: 1000, preload: true })], { devices: [gpu(0), gpu(1), cpu()] });
  world.operate("pin", { model: "a" });
  for (const id of world.starting()) world.up(id);
  world.advance(10_000);
  expect(world.all("stop")).toEqual([]);
  world.operate("unpin", { model: "a" });
  world.advance(1000);
  expect(world.all("stop")).toHaveLength(2);
});

test("drain takes an instance out of service without stopping it; resume brings it back", () => {
  const world = new World([model("a")]);
  world.warm("a");
  world.operate("drain", { instance: "a@cpu" });
  const request = world.arrive("a");
  expect(world.status(request)).toBe("waiting");
  expect(world.all("stop")).toEqual([]);
  world.operate("resume", { instance: "a@cpu" });
  expect(world.status(request)).toBe("running");
});

test("start loads a model without a request, stop ends all its instances", () => {
  const world = new World([model("a", { replicas: 2 })]);
  world.operate("start", { model: "a" });
  expect(world.starting()).toEqual(["a@cpu"]);
  world.up("a@cpu");
  world.operate("stop", { model: "a" });
  expect(world.inState("stopping")).toEqual(["a@cpu"]);
});

test("closing refuses who waits and who comes, and starts nothing", () => {
  const world = new World([model("a"), model("b")], { settings: { maxInstances: 1 } });
  world.warm("a");
  const running = world.arrive("a");
  const waiting = world.arrive("b");
  world.post({ type: "closing" });
  expect(world.refusalOf(waiting)?.code).toBe("shutting_down");
  expect(world.refusalOf(world.arrive("a"))?.code).toBe("shutting_down");
  world.finish(running);
  expect(world.all("start")).toHaveLength(1);
});

test("a drained instance that died is not there when it is resumed: the next request starts one", () => {
  const world = new World([model("a")]);
  const id = world.warm("a");
  world.operate("drain", { instance: id });
  world.die(id, "died", 1_000);
  world.operate("resume", { instance: id });
  expect(world.state.models.get("a")?.available.size).toBe(0);
  const request = world.arrive("a");
  expect(world.status(request)).toBe("waiting");
  world.advance(1_000);
  world.up(world.starting()[0] ?? "");
  expect(world.status(request)).toBe("running");
});

test("a model that is kept for another time than its own has its own again once it was unloaded", () => {
  const world = new World([model("a", { idleTtlMs: 1_000 })]);
  world.warm("a");
  world.post({ type: "kept", model: "a", idleTtlMs: 60_000 });
  world.advance(50_000);
  expect(world.inState("ready")).toEqual(["a@cpu"]);
  world.advance(10_000);
  world.gone("a@cpu");
  world.warm("a");
  world.advance(1_000);
  expect(world.inState("ready")).toEqual([]);
});

test("a model that is kept for ever is not stopped for idleness, and still gives way to another", () => {
  const world = new World([model("a", { idleTtlMs: 1_000 })]);
  world.warm("a");
  world.post({ type: "kept", model: "a", idleTtlMs: null });
  world.advance(600_000);
  expect(world.inState("ready")).toEqual(["a@cpu"]);
  expect(world.state.models.get("a")?.isPinned).toBe(false);
});
