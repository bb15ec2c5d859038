import { expect, test } from "vitest";
import { gpu, model, World } from "./support.ts";

test("a tenant with too many waiting requests is refused, over all models; others are not", () => {
  const world = new World([model("a", { slots: 1 }), model("b", { slots: 1 })], {
    settings: { maxQueuedPerTenant: 2 },
  });
  const [first] = [world.arrive("a", { tenant: "many" }), world.arrive("b", { tenant: "many" })];
  const refusal = world.refusalOf(world.arrive("a", { tenant: "many" }));
  expect(refusal?.code).toBe("queue_full");
  expect(refusal?.message).toContain('"many"');
  expect(refusal?.retryAfterS).toBeGreaterThan(0);
  expect(world.status(world.arrive("a", { tenant: "one" }))).toBe("waiting");
  world.cancel(first ?? "");
  expect(world.status(world.arrive("a", { tenant: "many" }))).toBe("waiting");
});

test("a request whose deadline passes while it waits is refused then, and not before", () => {
  const world = new World([model("a", { slots: 1 })]);
  world.warm("a");
  world.arrive("a");
  const late = world.arrive("a", { promptTokens: 8000, deadlineAt: world.now + 10_000 });
  const later = world.arrive("a", { promptTokens: 10, deadlineAt: world.now + 20_000 });
  world.advance(9_999);
  expect(world.status(late)).toBe("waiting");
  world.advance(1);
  expect(world.refusalOf(late)?.code).toBe("deadline_exceeded");
  expect(world.status(later)).toBe("waiting");
});

test("replicas_min are started with the daemon and outlive idleness, and the others do not", () => {
  const world = new World([model("a", { replicas: 2, replicasMin: 1, slots: 1, idleTtlMs: 1000 })], {
    devices: [gpu(0), gpu(1)],
  });
  expect(world.starting()).toHaveLength(1);
  world.up(world.starting()[0] ?? "");
  const requests = Array.from({ length: 3 }, () => world.arrive("a"));
  for (const id of world.starting()) world.up(id);
  expect(world.inState("ready")).toHaveLength(2);
  for (const id of requests) world.finish(id);
  world.advance(5000);
  for (const id of world.inState("stopping")) world.gone(id);
  expect(world.inState("ready")).toHaveLength(1);
  world.advance(300_000);
  expect(world.inState("ready")).toHaveLength(1);
});

test("who waits for a conversation's instance is served elsewhere when that one is away", () => {
  const world = new World([model("a", { preload: true, slots: 2 })], { devices: [gpu(0), gpu(1)] });
  for (const id of world.starting()) world.up(id);
  const shared = { hash: "shared", tokens: 3000 };
  const prefix = [shared, { hash: "long", tokens: 4000 }];
  const first = world.arrive("a", { promptTokens: 4000, prefix });
  const home = world.instanceOf(first);
  world.post({ type: "first-token", requestId: first });
  world.finish(first, { promptTokens: 4000, promptMs: 4000, cachedTokens: 0 });
  world.arrive("a", { promptTokens: 4000, prefix: [shared, { hash: "x", tokens: 4000 }] });
  const next = world.arrive("a", { promptTokens: 4100, prefix: [...prefix, { hash: "next", tokens: 8100 }] });
  // Home is busy for a second; four seconds of prefill elsewhere are worth the wait.
  expect(world.status(next)).toBe("waiting");
  world.die(home ?? "", "died", 60_000);
  expect(world.status(next)).toBe("running");
  expect(world.instanceOf(next)).not.toBe(home);
});
