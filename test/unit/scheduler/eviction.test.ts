import { expect, test } from "vitest";
import { cpu, gpu, model, World } from "./support.ts";

test("room is made by the least recently used idle instance, and the start waits until it is really gone", () => {
  const world = new World([model("a"), model("b"), model("c")], { settings: { maxInstances: 2 } });
  world.warm("a");
  world.now += 1000;
  world.warm("b");
  world.now += 1000;
  world.finish(world.arrive("a"));
  const request = world.arrive("c");
  expect(world.all("stop")).toEqual([{ type: "stop", instanceId: "b@cpu", cause: "evicted" }]);
  expect(world.instancesOf("c")).toEqual([]);
  world.gone("b@cpu");
  world.up("c@cpu");
  expect(world.status(request)).toBe("running");
});

test("a busy instance is never evicted: the request waits until one is idle", () => {
  const world = new World([model("a"), model("b")], { settings: { maxInstances: 1 } });
  world.warm("a");
  const busy = world.arrive("a");
  const waiting = world.arrive("b");
  expect(world.all("stop")).toEqual([]);
  expect(world.status(waiting)).toBe("waiting");
  world.finish(busy);
  expect(world.inState("stopping")).toEqual(["a@cpu"]);
});

test("when every place is pinned, a request for another model is refused and says what to do", () => {
  const world = new World([model("a", { pinned: true }), model("b")], { settings: { maxInstances: 1 } });
  world.warm("a");
  const refusal = world.refusalOf(world.arrive("b"));
  expect(refusal?.code).toBe("no_capacity");
  expect(refusal?.remedy).toContain("max_instances");
  expect(refusal?.retryAfterS).toBeGreaterThan(0);
  expect(world.all("stop")).toEqual([]);
});

test("an instance that loads for requests which have gone may be given up for one that is waited for", () => {
  const world = new World([model("a"), model("b")], { settings: { maxInstances: 1 } });
  world.cancel(world.arrive("a"));
  const request = world.arrive("b");
  expect(world.inState("stopping")).toEqual(["a@cpu"]);
  world.gone("a@cpu");
  world.up("b@cpu");
  expect(world.status(request)).toBe("running");
});

test("memory is made free on the device, by as many as it takes", () => {
  const models = [model("a"), model("b"), model("big"), model("other", { devices: ["cpu"] })];
  const world = new World(models, { devices: [gpu(0, 24), cpu()], memoryGib: { a: 8, b: 8, big: 20, other: 8 } });
  world.warm("a");
  world.warm("b");
  world.warm("other");
  const request = world.arrive("big");
  expect(world.inState("stopping").sort()).toEqual(["a@cuda:0", "b@cuda:0"]);
  world.gone("a@cuda:0");
  expect(world.starting()).toEqual([]);
  world.gone("b@cuda:0");
  world.up("big@cuda:0");
  expect(world.status(request)).toBe("running");
  expect(world.inState("ready")).toContain("other@cpu");
});

test("what is reserved of a device counts neither for one model nor for several", () => {
  const devices = [{ ...gpu(0, 24), reservedBytes: 4 * 2 ** 30 }];
  const memoryGib = { a: 11, b: 11, huge: 23 };
  const world = new World([model("a"), model("b"), model("huge")], { devices, memoryGib });
  expect(world.refusalOf(world.arrive("huge"))).toMatchObject({
    code: "model_too_large",
    message: expect.stringContaining("25.8 GB (4.3 GB of it reserved)"),
    remedy: expect.stringContaining("vram_reserve_mib"),
    retryAfterS: null,
  });
  world.warm("a");
  world.arrive("b");
  expect(world.inState("stopping")).toEqual(["a@cuda:0"]);
});

test("a model larger than the bare device is refused with both figures", () => {
  const world = new World([model("huge")], { devices: [gpu(0, 24)], memoryGib: { huge: 40 } });
  const refusal = world.refusalOf(world.arrive("huge"));
  expect(refusal?.code).toBe("model_too_large");
  expect(refusal?.message).toContain("42.9 GB");
  expect(refusal?.message).toContain("25.8 GB");
});

test("what other programs use counts, but a model that fits the bare device is tried when it is alone there", () => {
  const device = { ...gpu(0, 24), memoryFreeBytes: 4 * 2 ** 30 };
  const world = new World([model("a"), model("b")], { devices: [device], memoryGib: { a: 3, b: 8 } });
  world.warm("a");
  world.arrive("b");
  expect(world.inState("stopping")).toEqual(["a@cuda:0"]);
  world.gone("a@cuda:0");
  expect(world.starting()).toEqual(["b@cuda:0"]);
});

test("CPU threads are room too: an idle instance of several gives them up, a GPU instance needs none", () => {
  const models = [
    model("a", { threads: 2, devices: ["cpu"] }),
    model("b", { devices: ["cpu"] }),
    model("c", { devices: ["cpu"] }),
    model("g", { devices: ["cuda:0"] }),
  ];
  const world = new World(models, { devices: [gpu(0), cpu()], settings: { threadBudget: 3 } });
  for (const name of ["a", "g", "b"]) world.warm(name);
  expect(world.inState("stopping")).toEqual([]);
  world.arrive("c");
  expect(world.inState("stopping")).toEqual(["a@cpu"]);
});

test("models of one thread each run beside each other, up to twice as many as there are threads", () => {
  const names = ["a", "b", "c", "d", "e"];
  const world = new World(
    names.map((name) => model(name, { threads: "auto" })),
    { settings: { threadBudget: 2 } },
  );
  for (const name of names.slice(0, 4)) world.warm(name);
  expect(world.all("start").map((effect) => effect.order.threads)).toEqual([1, 1, 1, 1]);
  expect(world.inState("stopping")).toEqual([]);
  world.arrive("e");
  expect(world.inState("stopping")).toHaveLength(1);
});

test("a further replica needs a thread that nobody has", () => {
  const world = new World([model("a", { threads: "auto", replicas: 4, preload: true }), model("b")], {
    settings: { threadBudget: 2 },
  });
  expect(world.all("start")).toHaveLength(2);
  world.arrive("b");
  expect(world.all("start")).toHaveLength(3);
});

test("a number as large as the budget is no claim on all of it: who comes first leaves a share for the others", () => {
  const world = new World([model("a", { threads: 4 }), model("b", { threads: 4 })], { settings: { threadBudget: 4 } });
  for (const name of ["a", "b"]) world.warm(name);
  expect(world.all("start").map((effect) => effect.order.threads)).toEqual([2, 2]);
  const chosen = new World([model("a", { threads: 3 }), model("b", { threads: 4 })], { settings: { threadBudget: 4 } });
  for (const name of ["a", "b"]) chosen.warm(name);
  expect(chosen.all("start").map((effect) => effect.order.threads)).toEqual([3, 1]);
});

test("the threads of all CPU instances together never exceed the budget", () => {
  const world = new World([model("a", { threads: "auto", replicas: 3, preload: true })], {
    settings: { threadBudget: 4 },
  });
  const threads = world.all("start").map((effect) => effect.order.threads);
  expect(threads).toHaveLength(3);
  expect(threads.reduce((sum, each) => sum + each, 0)).toBeLessThanOrEqual(4);
});
