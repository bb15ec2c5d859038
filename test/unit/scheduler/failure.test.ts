import { expect, test } from "vitest";
import { cpu, gpu, model, World } from "./support.ts";

test("a failed start refuses who waits, with the reason and the time of the next try", () => {
  const world = new World([model("a")]);
  const request = world.arrive("a");
  world.die("a@cpu", "exited with code 1: not a GGUF", 8_000);
  expect(world.refusalOf(request)).toMatchObject({ code: "model_failed", retryAfterS: 8 });
  expect(world.refusalOf(request)?.message).toContain("not a GGUF");
});

test("during the pause nobody waits in vain; after it the next request tries again", () => {
  const world = new World([model("a")]);
  world.arrive("a");
  world.die("a@cpu", "exited with code 1", 8_000);
  world.advance(3_000);
  expect(world.refusalOf(world.arrive("a"))).toMatchObject({ code: "model_failed", retryAfterS: 5 });
  world.advance(5_000);
  expect(world.starting()).toEqual([]);
  const request = world.arrive("a");
  world.up("a@cpu");
  expect(world.status(request)).toBe("running");
});

test("a cause with a code of its own keeps it", () => {
  const world = new World([model("a")]);
  const request = world.arrive("a");
  const death = { cause: "spawn-error", message: "the file is not here", error: "model_not_pulled" } as const;
  world.step("a@cpu", ["starting"], "failed", { death, retryAt: world.now + 1000 });
  expect(world.refusalOf(request)?.code).toBe("model_not_pulled");
});

test("a crash loses the requests on the instance; those that wait go on after a restart at once", () => {
  const world = new World([model("a", { slots: 1 })]);
  const running = world.arrive("a");
  const waiting = world.arrive("a");
  world.up("a@cpu");
  world.die("a@cpu", "was ended by SIGKILL");
  expect(world.status(running)).toBe("lost");
  expect(world.all("lost")[0]?.refusal).toMatchObject({ code: "engine_lost", message: "was ended by SIGKILL" });
  expect(world.starting()).toEqual(["a@cpu"]);
  world.up("a@cpu");
  expect(world.status(waiting)).toBe("running");
});

test("after a crash with a short pause who waits stays, and the start comes when the pause is over", () => {
  const world = new World([model("a", { slots: 1 })]);
  world.warm("a");
  world.arrive("a");
  const waiting = world.arrive("a");
  world.die("a@cpu", "crashed again", 10_000);
  expect(world.status(waiting)).toBe("waiting");
  world.advance(9_999);
  expect(world.starting()).toEqual([]);
  world.advance(1);
  world.up("a@cpu");
  expect(world.status(waiting)).toBe("running");
});

test("after a crash with a long pause who waits is told so", () => {
  const world = new World([model("a", { slots: 1 })]);
  world.warm("a");
  world.arrive("a");
  const waiting = world.arrive("a");
  world.die("a@cpu", "crashed too often", 60_000);
  expect(world.refusalOf(waiting)).toMatchObject({ code: "model_failed", retryAfterS: 60 });
});

test("a dead replica costs only its own requests; the queue goes to the others", () => {
  const world = new World([model("a", { slots: 1, preload: true })], { devices: [gpu(0), gpu(1), cpu()] });
  for (const id of world.starting()) world.up(id);
  const [first, second, third] = [world.arrive("a"), world.arrive("a"), world.arrive("a")];
  world.die(world.instanceOf(first) ?? "", "died", 60_000);
  expect([first, second, third].map((id) => world.status(id))).toEqual(["lost", "running", "waiting"]);
  world.finish(second);
  expect(world.status(third)).toBe("running");
});

test("a preloaded model that failed is tried again after the pause without a request", () => {
  const world = new World([model("a", { preload: true })]);
  world.die("a@cpu", "exited", 10_000);
  world.advance(10_000);
  expect(world.starting()).toEqual(["a@cpu"]);
});

test("the next try goes to a device on which the model has not failed", () => {
  const world = new World([model("a", { replicas: 1 })], { devices: [gpu(0), gpu(1)] });
  world.arrive("a");
  world.die("a@cuda:0", "CUDA error", 1_000);
  world.advance(1_000);
  world.arrive("a");
  expect(world.starting()).toEqual(["a@cuda:1"]);
});

test("an instance whose answer broke off gets nothing until the fleet had time to say that it is dead", () => {
  const world = new World([model("a", { slots: 1 })]);
  const broken = world.arrive("a");
  const waiting = world.arrive("a");
  world.up("a@cpu");
  world.finish(broken, { end: "engine-error" });
  expect(world.status(waiting)).toBe("waiting");
  world.advance(100);
  expect(world.status(waiting)).toBe("running");
});

test("an order the fleet never answers is given up, and who waits is told", () => {
  const world = new World([model("a")]);
  world.fleet.set("a@cpu", {
    order: { instanceId: "a@cpu", model: model("a"), device: cpu(), threads: 1 },
    state: "stopping",
    retryAt: null,
    lastDeath: null,
  });
  const request = world.arrive("a");
  world.advance(70_000);
  expect(world.refusalOf(request)).toMatchObject({ code: "model_failed" });
  expect(world.state.count("live")).toBe(0);
});
