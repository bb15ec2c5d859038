import { expect, test } from "vitest";
import { cpu, defaultSettings, gpu, type ModelOptions, model, World } from "./support.ts";

const THREADS = 4;

function cpuWorld(options: Readonly<Record<string, ModelOptions>>): World {
  const specs = Object.entries(options).map(([name, own]) =>
    model(name, { threads: "auto", preload: true, slots: 1, replicas: 1, ...own }),
  );
  const world = new World(specs, { devices: [cpu()], settings: { ...defaultSettings, threadBudget: THREADS } });
  for (const id of world.starting()) world.up(id);
  return world;
}

/** The threads that each busy instance may use now. */
const lent = (world: World): Record<string, number> =>
  Object.fromEntries(
    [...world.state.instances.values()]
      .filter(({ inFlight }) => inFlight.size > 0)
      .map(({ id, lentThreads }) => [id, lentThreads]),
  );

test("the only busy instance has all threads, and its own again when the others have work", () => {
  const world = cpuWorld({ a: {}, b: {} });
  expect([...world.fleet.values()].map(({ order }) => [order.threads, order.mostThreads])).toEqual([
    [2, THREADS],
    [2, THREADS],
  ]);
  const first = world.arrive("a", { promptTokens: 10 });
  expect(lent(world)).toEqual({ "a@cpu": THREADS });
  const second = world.arrive("b", { promptTokens: 10 });
  expect(lent(world)).toEqual({ "a@cpu": 2, "b@cpu": 2 });
  world.finish(first);
  expect(lent(world)).toEqual({ "b@cpu": THREADS });
  world.finish(second);
  expect(world.all("lend")).toEqual([
    { type: "lend", instanceId: "a@cpu", threads: 4 },
    { type: "lend", instanceId: "a@cpu", threads: 2 },
    { type: "lend", instanceId: "b@cpu", threads: 4 },
  ]);
});

test("an instance whose threads were lent has its own before its request is sent", () => {
  const world = cpuWorld({ a: {}, b: {} });
  const first = world.arrive("b", { promptTokens: 10 });
  world.finish(first);
  world.arrive("a", { promptTokens: 10 });
  // It was lent all of them, and nobody told it otherwise while it was idle.
  expect(world.state.instances.get("b@cpu")?.lentThreads).toBe(THREADS);
  world.arrive("b", { promptTokens: 10 });
  expect(lent(world)).toEqual({ "a@cpu": 2, "b@cpu": 2 });
});

test("a model's own limit holds, and the rest goes to the others", () => {
  const world = cpuWorld({ a: { threads: 1 }, b: {}, c: {} });
  for (const name of ["a", "b"]) world.arrive(name, { promptTokens: 10 });
  expect(lent(world)).toEqual({ "a@cpu": 1, "b@cpu": 3 });
});

test("what needs no slot borrows nothing", () => {
  const world = cpuWorld({ a: {}, b: {} });
  world.arrive("a", { promptTokens: 0, maxTokens: 0, slotless: true });
  expect(world.all("lend")).toEqual([]);
});

test("instances on GPUs keep their threads and borrow none", () => {
  const world = new World(
    [
      model("g", { threads: "auto", preload: true, devices: ["cuda:0"], replicas: 1 }),
      model("a", { threads: "auto", preload: true, devices: ["cpu"], replicas: 1 }),
      model("b", { threads: "auto", preload: true, devices: ["cpu"], replicas: 1 }),
    ],
    { devices: [gpu(0), cpu()], settings: { ...defaultSettings, threadBudget: 8 } },
  );
  for (const id of world.starting()) world.up(id);
  world.arrive("g", { promptTokens: 10 });
  expect(world.all("lend")).toEqual([]);
  world.arrive("a", { promptTokens: 10 });
  expect(world.state.instances.get("a@cpu")?.lentThreads).toBe(6);
});

test("one-thread instances beyond the budget are lent nothing while as many are busy as there are threads", () => {
  const names = Array.from({ length: 6 }, (_, index) => `m${index}`);
  const world = cpuWorld(Object.fromEntries(names.map((name) => [name, { preload: false, threads: 1 }])));
  for (const name of names) world.arrive(name, { promptTokens: 10 });
  for (const id of world.starting()) world.up(id);
  expect(Object.values(lent(world))).toEqual(names.map(() => 1));
});
