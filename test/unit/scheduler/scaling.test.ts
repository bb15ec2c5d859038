import { expect, test } from "vitest";
import { cpu, gpu, model, World } from "./support.ts";

test("a further replica is started when all are full and a request waits, up to one per GPU", () => {
  const world = new World([model("a", { slots: 1 })], { devices: [gpu(0), gpu(1), cpu()] });
  world.arrive("a");
  world.up("a@cuda:0");
  expect(world.all("start")).toHaveLength(1);
  const second = world.arrive("a");
  expect(world.starting()).toEqual(["a@cuda:1"]);
  world.up("a@cuda:1");
  expect(world.instanceOf(second)).toBe("a@cuda:1");
  world.arrive("a");
  expect(world.all("start")).toHaveLength(2);
});

test("without a GPU, auto is one instance on the CPU", () => {
  const world = new World([model("a", { slots: 1 })]);
  world.warm("a");
  for (let count = 0; count < 4; count++) world.arrive("a");
  expect(world.all("start")).toHaveLength(1);
});

test("replicas on one device are numbered", () => {
  const world = new World([model("a", { replicas: 3, preload: true })]);
  expect(world.starting()).toEqual(["a@cpu", "a@cpu#2", "a@cpu#3"]);
});

test("a further replica takes free room and pushes nobody out", () => {
  const world = new World([model("a", { slots: 1 }), model("b")], {
    devices: [gpu(0), gpu(1)],
    settings: { maxInstances: 2 },
  });
  world.warm("b");
  world.arrive("a");
  for (const id of world.starting()) world.up(id);
  world.arrive("a");
  expect(world.all("stop")).toEqual([]);
});

test("a further replica is started as soon as room for it becomes free", () => {
  const world = new World([model("a", { slots: 1 }), model("b", { idleTtlMs: 5_000 })], {
    devices: [gpu(0), gpu(1)],
    settings: { maxInstances: 2 },
  });
  const other = world.warm("b");
  world.arrive("a");
  for (const id of world.starting()) world.up(id);
  const waiting = world.arrive("a");
  world.advance(5_000);
  world.gone(other);
  const [replica] = world.starting();
  world.up(replica ?? "");
  expect(world.instanceOf(waiting)).toBe(replica);
});

test("a named device is obeyed, and a device that is not there is named in the refusal", () => {
  const world = new World([model("a", { devices: ["cuda:1"] }), model("b", { devices: ["cuda:7"] })], {
    devices: [gpu(0), gpu(1)],
  });
  world.arrive("a");
  expect(world.starting()).toEqual(["a@cuda:1"]);
  const refusal = world.refusalOf(world.arrive("b"));
  expect(refusal?.code).toBe("no_capacity");
  expect(refusal?.message).toContain("cuda:7");
});

test("preload starts all replicas at once, without a request", () => {
  const world = new World([model("a", { preload: true }), model("b")], { devices: [gpu(0), gpu(1)] });
  expect(world.starting()).toEqual(["a@cuda:0", "a@cuda:1"]);
});

test("an instance without a request for the model's idle time is stopped; a request starts the time anew", () => {
  const world = new World([model("a", { idleTtlMs: 10_000 })]);
  world.warm("a");
  world.advance(9_000);
  world.finish(world.arrive("a"));
  world.advance(9_999);
  expect(world.all("stop")).toEqual([]);
  world.advance(1);
  expect(world.all("stop")).toEqual([{ type: "stop", instanceId: "a@cpu", cause: "idle" }]);
});

test("neither a busy nor a pinned instance is stopped for idleness", () => {
  const world = new World([model("a", { idleTtlMs: 10_000 }), model("p", { idleTtlMs: 10_000, pinned: true })]);
  world.warm("p");
  world.warm("a");
  world.arrive("a");
  world.advance(60_000);
  expect(world.all("stop")).toEqual([]);
});
