import { expect, test } from "vitest";
import type { PrefixMark, RequestFacts } from "../../../src/core/request.ts";
import { model, World } from "./support.ts";
import { forwarded, type NodeOptions, node, tell } from "./support-remotes.ts";

/** Two machines with a model that is on no other, both of whose speeds are known: tokens per millisecond. */
function measured(
  speeds: Readonly<Record<string, number>>,
  options: Readonly<Record<string, NodeOptions>> = {},
): World {
  const world = new World([]);
  const names = Object.keys(speeds);
  for (const name of names) {
    tell(
      world,
      names.map((other) => node(other, { ...options[other], up: other === name })),
      ["a"],
    );
    for (let count = 0; count < 3; count++) serve(world, { promptTokens: 1000 }, 1000 / (speeds[name] ?? 1));
  }
  tell(
    world,
    names.map((name) => node(name, options[name])),
    ["a"],
  );
  return world;
}

/**
 * A request from its arrival to its end, by so much longer than its engine's work as is said of the machine; returns
 * where it was served.
 */
function serve(
  world: World,
  facts: Partial<RequestFacts>,
  promptMs: number,
  wayMs: Readonly<Record<string, number>> = {},
): string | undefined {
  const id = world.arrive("a", { maxTokens: 0, ...facts });
  world.now += promptMs + (wayMs[forwarded(world)[id] ?? ""] ?? 0);
  world.finish(id, {
    promptTokens: facts.promptTokens ?? 10,
    cachedTokens: 0,
    promptMs,
    completionTokens: 0,
    completionMs: 0,
  });
  return forwarded(world)[id];
}

/** Where it goes; undefined: nowhere yet, or here. */
function send(world: World, facts: Partial<RequestFacts>): string | undefined {
  const id = world.arrive("a", facts);
  return forwarded(world)[id];
}

const marks = (...entries: [string, number][]): PrefixMark[] => entries.map(([hash, tokens]) => ({ hash, tokens }));

test("of two machines with a free slot the quicker one is asked, until it has as much to work off as it is quicker", () => {
  const world = measured({ slow: 1, quick: 4 });
  // 1.5 s for a prompt there, counted three times, and half a second for each that is waiting; 6 s on the other one.
  const names = Array.from({ length: 4 }, () => send(world, { promptTokens: 2000 }));
  expect(names).toEqual(["quick", "quick", "quick", "quick"]);
  expect(send(world, { promptTokens: 2000 })).toBe("slow");
});

test("machines that are about as quick share by weight", () => {
  const world = measured({ b: 1, c: 1.1 }, { b: { weight: 3 } });
  const names = Array.from({ length: 40 }, () => serve(world, { promptTokens: 1000 }, 950));
  expect(names.filter((name) => name === "b").length).toBeGreaterThanOrEqual(28);
  expect(names.filter((name) => name === "c").length).toBeGreaterThanOrEqual(8);
});

test("a machine of weight 0 is not asked, however quick it is, while another takes the request", () => {
  const world = measured({ last: 10, b: 1 }, { last: { weight: 0 }, b: { slots: 1 } });
  const [first, second] = [world.arrive("a", { promptTokens: 1000 }), world.arrive("a", { promptTokens: 1000 })];
  expect(forwarded(world)).toMatchObject({ [first]: "b", [second]: "last" });
});

test("a conversation goes back to the machine that has its beginning, and not once that was away", () => {
  const world = measured({ b: 1, c: 1 });
  const first = world.arrive("a", { promptTokens: 2000, prefix: marks(["s", 1000], ["u1", 2000]) });
  const home = forwarded(world)[first] ?? "";
  world.finish(first, { promptTokens: 2000, cachedTokens: 0, promptMs: 2000 });
  const turn = (hash: string, cachedTokens: number): string | undefined => {
    const id = world.arrive("a", { promptTokens: 2200, prefix: marks(["s", 1000], ["u1", 2000], [hash, 2200]) });
    world.finish(id, { promptTokens: 2200, cachedTokens, promptMs: 2200 - cachedTokens });
    return forwarded(world)[id];
  };
  expect([turn("u2", 2000), turn("u3", 2000), turn("u4", 2000)]).toEqual([home, home, home]);
  tell(world, [node("b", { up: home !== "b" }), node("c", { up: home !== "c" })], ["a"]);
  tell(world, [node("b"), node("c")], ["a"]);
  expect(turn("u5", 0)).not.toBe(home);
});

test("the way to a machine is part of its price, as answers showed it", () => {
  const world = new World([]);
  tell(world, [node("near"), node("far")], ["a"]);
  const names = Array.from({ length: 6 }, () => serve(world, { promptTokens: 100 }, 100, { far: 4000 })).slice(2);
  expect(new Set(names)).toEqual(new Set(["near"]));
  // Its answers come two seconds later than its engine is done: something there is in the way.
  for (let count = 0; count < 20; count++) serve(world, { promptTokens: 100 }, 100, { near: 9000, far: 400 });
  expect(serve(world, { promptTokens: 100 }, 100)).toBe("far");
});

test("a load is a cost like others: a busy machine is still better than a long one, and not than a short one", () => {
  const world = new World([]);
  tell(world, [node("warm", { slots: 8 }), node("cold", { slots: 8, loaded: false })], ["a"]);
  const names = Array.from({ length: 5 }, () => send(world, { promptTokens: 1000 }));
  expect(names).toEqual(["warm", "warm", "warm", "warm", "cold"]);
  world.now += 1200;
  for (const id of Object.keys(forwarded(world)))
    world.finish(id, { promptTokens: 1000, cachedTokens: 0, promptMs: 1000, completionTokens: 0, completionMs: 0 });
  // Seen from outside it took 200 ms.
  expect(Array.from({ length: 2 }, () => send(world, { promptTokens: 1000 }))).toContain("cold");
});

/**
 * A model that runs here with two slots and is known to prefill a token a millisecond, and another machine that is as
 * quick as said.
 */
function beside(perMs: number): World {
  const world = new World([model("a", { slots: 2 })], { settings: { maxLoad: 0.5 } });
  world.warm("a");
  for (let count = 0; count < 3; count++) {
    const id = world.arrive("a", { promptTokens: 1000, maxTokens: 20 });
    world.now += 2000;
    world.finish(id, { promptTokens: 1000, cachedTokens: 0, promptMs: 1000, completionTokens: 20, completionMs: 1000 });
  }
  tell(world, [node("b", { slots: 8 })]);
  const [blocking, ...others] = [world.arrive("a"), world.arrive("a", { promptTokens: 1000 })];
  const there = others.find((id) => forwarded(world)[id] === "b") ?? "";
  world.now += 1000 / perMs;
  world.finish(there, {
    promptTokens: 1000,
    cachedTokens: 0,
    promptMs: 1000 / perMs,
    completionTokens: 0,
    completionMs: 0,
  });
  world.post({ type: "first-token", requestId: blocking ?? "" });
  return world;
}

test("at max_load a free slot here is taken where it gives the first token sooner than the other machine", () => {
  const [slow, quick] = [beside(0.25), beside(4)];
  const stays = slow.arrive("a", { promptTokens: 1000 });
  expect(slow.status(stays)).toBe("running");
  const goes = quick.arrive("a", { promptTokens: 1000 });
  expect(forwarded(quick)[goes]).toBe("b");
});

test("who has his turn here sooner than a first token there waits; who stands further back goes", () => {
  const world = beside(0.25);
  world.arrive("a", { promptTokens: 100 });
  // About half a second from turn to turn here; a prompt of 1,000 tokens takes four there.
  const ids = Array.from({ length: 16 }, () => world.arrive("a", { promptTokens: 1000 }));
  const away = ids.filter((id) => forwarded(world)[id] === "b");
  expect(away.length).toBeGreaterThan(0);
  expect(forwarded(world)).not.toHaveProperty(ids[0] ?? "");
  expect(world.state.models.get("a")?.queue.size).toBeGreaterThanOrEqual(3);
});

test("what was given up, failed or broke off teaches no speed and leaves nothing behind", () => {
  const world = measured({ b: 1 });
  for (const end of ["cancelled", "engine-error"] as const) {
    const id = world.arrive("a", { promptTokens: 5000, prefix: marks([end, 5000]) });
    world.now += 60_000;
    world.finish(id, { end, promptMs: 50_000, promptTokens: 5000, cachedTokens: 0 });
  }
  const target = world.state.models.get("a")?.nodes.get("b");
  expect([target?.inFlight.size, target?.prefillTokens]).toEqual([0, 0]);
  expect(target?.prefillRate.perMs).toBe(1);
  expect(target?.prefixes.conversations.size).toBe(0);
});

test("the same short prompt again and again is shared by weight, wherever it is cached", () => {
  const world = new World([]);
  tell(world, [node("b", { weight: 3 }), node("c")], ["a"]);
  const names = Array.from({ length: 40 }, () =>
    serve(world, { promptTokens: 100, prefix: marks(["p", 100]) }, 20, { b: 60, c: 20 }),
  );
  expect(names.filter((name) => name === "b")).toHaveLength(30);
});
