import fc from "fast-check";
import { expect, test } from "vitest";
import { model, World } from "./support.ts";
import { forwarded, forwards, node, tell } from "./support-remotes.ts";

test("with room here nothing is forwarded", () => {
  const world = new World([model("a", { slots: 4 })]);
  tell(world, [node("b")]);
  world.warm("a");
  for (let index = 0; index < 3; index++) world.arrive("a");
  expect(forwarded(world)).toEqual({});
});

test("a model that is not loaded is started here; what will not fit its slots goes away", () => {
  const world = new World([model("a", { slots: 2 })]);
  tell(world, [node("b")]);
  const [first, second, third] = [world.arrive("a"), world.arrive("a"), world.arrive("a")];
  expect(world.starting()).toEqual(["a@cpu"]);
  expect(forwarded(world)).toEqual({ [first]: "b" });
  world.up("a@cpu");
  expect([second, third].map((id) => world.status(id))).toEqual(["running", "running"]);
});

test("who is served here in the next ticks does not go away meanwhile", () => {
  const world = new World([model("a", { slots: 6 })]);
  tell(world, [node("b")]);
  const [first = "", ...others] = Array.from({ length: 7 }, () => world.arrive("a"));
  world.up("a@cpu");
  expect(others.filter((id) => world.status(id) === "running")).toHaveLength(2);
  world.advance(1);
  expect(others.filter((id) => world.status(id) === "running")).toHaveLength(6);
  expect(forwarded(world)).toEqual({ [first]: "b" });
});

test("once all instances here are at max_load, the next request is forwarded, though a slot is free", () => {
  const world = new World([model("a", { slots: 4 })], { settings: { maxLoad: 0.5 } });
  tell(world, [node("b")]);
  world.warm("a");
  world.arrive("a");
  world.arrive("a");
  const third = world.arrive("a");
  expect(forwarded(world)).toEqual({ [third]: "b" });
});

test("without room anywhere a request waits, and takes what is free first", () => {
  const world = new World([model("a", { slots: 1 })]);
  tell(world, [node("b", { slots: 1 })]);
  world.warm("a");
  const here = world.arrive("a");
  const there = world.arrive("a");
  const waiting = world.arrive("a");
  expect(forwarded(world)).toEqual({ [there]: "b" });
  expect(world.status(waiting)).toBe("waiting");
  world.finish(there);
  expect(forwarded(world)[waiting]).toBe("b");
  const next = world.arrive("a");
  world.finish(here);
  expect(world.status(next)).toBe("running");
});

test("work of others counts against a machine's slots", () => {
  const world = new World([]);
  tell(world, [node("b", { slots: 2, inFlight: 2 }), node("c", { slots: 2, inFlight: 1 })], ["a"]);
  const first = world.arrive("a");
  const second = world.arrive("a");
  expect(forwarded(world)).toEqual({ [first]: "c" });
  // Ours is among what the machine tells, and not counted twice.
  tell(world, [node("b", { slots: 2, inFlight: 2 }), node("c", { slots: 2, inFlight: 1 })], ["a"]);
  expect(forwarded(world)[second]).toBe("c");
});

test("a machine that is down, or does not have the model, gets nothing", () => {
  const world = new World([]);
  tell(world, [node("b", { up: false }), node("c", {}, ["other"]), node("d")], ["a"]);
  for (let index = 0; index < 3; index++) world.arrive("a");
  expect(new Set(Object.values(forwarded(world)))).toEqual(new Set(["d"]));
});

test("shares follow the weights, also one request at a time", () => {
  const world = new World([]);
  tell(world, [node("b", { weight: 3 }), node("c", { weight: 1 }), node("none", { weight: 0 })], ["a"]);
  for (let index = 0; index < 40; index++) world.finish(world.arrive("a"));
  const names = Object.values(forwarded(world));
  expect(names.filter((name) => name === "b").length).toBe(30);
  expect(names.filter((name) => name === "c").length).toBe(10);
});

test("a machine that has the model loaded goes before one that must load it", () => {
  const world = new World([]);
  tell(world, [node("cold", { loaded: false, weight: 9 }), node("warm", { slots: 1 })], ["a"]);
  const [first, second] = [world.arrive("a"), world.arrive("a")];
  expect(forwarded(world)).toEqual({ [first]: "warm", [second]: "cold" });
});

test("who was away has no claim on what the others got meanwhile", () => {
  const world = new World([]);
  tell(world, [node("b"), node("c", { up: false })], ["a"]);
  for (let index = 0; index < 20; index++) world.finish(world.arrive("a"));
  tell(world, [node("b"), node("c")], ["a"]);
  for (let index = 0; index < 10; index++) world.finish(world.arrive("a"));
  expect(
    Object.values(forwarded(world))
      .slice(20)
      .filter((name) => name === "c").length,
  ).toBeLessThanOrEqual(6);
});

test("a failure pauses the machine for that model, the longer the more often", () => {
  const world = new World([]);
  tell(world, [node("b")], ["a"]);
  world.finish(world.arrive("a"), { end: "engine-error" });
  const second = world.arrive("a");
  expect(world.status(second)).toBe("waiting");
  world.advance(250);
  expect(forwarded(world)[second]).toBe("b");
  world.finish(second, { end: "engine-error" });
  const third = world.arrive("a");
  world.advance(250);
  expect(forwarded(world)[third]).toBeUndefined();
  world.advance(250);
  expect(forwarded(world)[third]).toBe("b");
});

test("a request is never sent where it has been, and after four hops nowhere", () => {
  const world = new World([]);
  tell(world, [node("b")], ["a"]);
  for (const hops of [["self"], ["id-b"], ["x", "self", "y"], ["1", "2", "3", "4"]]) {
    expect(world.refusalOf(world.arrive("a", { hops }))?.code).toBe("node_unavailable");
  }
  const fresh = world.arrive("a", { hops: ["x", "y"] });
  expect(forwarded(world)).toEqual({ [fresh]: "b" });
});

test("a request that came from another machine waits here rather than going back", () => {
  const world = new World([model("a", { slots: 1 })]);
  tell(world, [node("b")]);
  world.warm("a");
  world.arrive("a");
  const returned = world.arrive("a", { hops: ["id-b"] });
  const own = world.arrive("a");
  expect(world.status(returned)).toBe("waiting");
  expect(forwarded(world)).toEqual({ [own]: "b" });
});

test("a model that cannot be started here is served elsewhere instead of being refused", () => {
  const world = new World([model("a")]);
  tell(world, [node("b", { slots: 1 })]);
  const request = world.arrive("a");
  world.die("a@cpu", "exited with code 1", 8_000);
  expect(forwarded(world)).toEqual({ [request]: "b" });
  const next = world.arrive("a");
  expect(world.status(next)).toBe("waiting");
  tell(world, [node("b", { up: false })]);
  expect(world.refusalOf(next)?.code).toBe("model_failed");
});

test("when the last machine with a model goes down, who waits is told; when it leaves, the model does too", () => {
  const world = new World([]);
  tell(world, [node("b", { slots: 1 })], ["a"]);
  world.arrive("a");
  const waiting = world.arrive("a");
  tell(world, [node("b", { up: false })], ["a"]);
  expect(world.refusalOf(waiting)).toMatchObject({ code: "node_unavailable", retryAfterS: 2 });
  tell(world, []);
  expect(world.refusalOf(world.arrive("a"))?.code).toBe("model_not_found");
});

test("a reload keeps models of other machines", () => {
  const world = new World([model("here")]);
  tell(world, [node("b")], ["a"]);
  world.reload({ models: [model("here"), model("new")] });
  const request = world.arrive("a");
  expect(forwarded(world)).toEqual({ [request]: "b" });
});

test("the client's leaving gives a machine's place back", () => {
  const world = new World([]);
  tell(world, [node("b", { slots: 1 })], ["a"]);
  const first = world.arrive("a");
  const second = world.arrive("a");
  world.cancel(first);
  expect(forwarded(world)[second]).toBe("b");
  expect(world.state.requests.size).toBe(1);
});

test("whatever happens, every request goes somewhere once and places return to zero", () => {
  const step = fc.oneof(
    fc.record({
      type: fc.constant("arrive" as const),
      hops: fc.constantFrom<readonly string[]>([], ["id-b"], ["self"]),
    }),
    fc.record({ type: fc.constantFrom("finish" as const, "fail" as const, "cancel" as const), pick: fc.nat(20) }),
    fc.record({ type: fc.constant("tell" as const), b: fc.boolean(), c: fc.boolean() }),
    fc.record({ type: fc.constant("advance" as const), ms: fc.nat(2_000) }),
  );
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const world = new World([model("a", { slots: 1 })]);
      tell(world, [node("b", { slots: 2 }), node("c", { slots: 1 })]);
      world.warm("a");
      const ids: string[] = [];
      const over = new Set<string>();
      const end = (id: string | undefined, how: "finish" | "fail" | "cancel"): void => {
        if (id === undefined || over.has(id)) return;
        const holds = forwarded(world)[id] !== undefined || world.status(id) === "running";
        if (how === "cancel") world.cancel(id);
        else if (!holds) return;
        else world.finish(id, how === "fail" ? { end: "engine-error" } : {});
        over.add(id);
      };
      for (const action of steps) {
        if (action.type === "arrive") ids.push(world.arrive("a", { hops: action.hops }));
        else if (action.type === "advance") world.advance(action.ms);
        else if (action.type === "tell")
          tell(world, [node("b", { slots: 2, up: action.b }), node("c", { slots: 1, up: action.c })]);
        else end(ids[action.pick % Math.max(1, ids.length)], action.type);
      }
      const sent = world.all("dispatch").map(({ requestId }) => requestId);
      expect(new Set(sent).size).toBe(sent.length);
      for (const { requestId, targetId } of forwards(world)) expect(world.requests.has(requestId), targetId).toBe(true);
      // Everybody is served in the end, by whoever is there.
      for (let round = 0; round < 200 && world.state.requests.size > 0; round++) {
        for (const id of ids) end(id, "finish");
        world.advance(1_000);
      }
      expect(world.state.requests.size).toBe(0);
      for (const target of world.state.models.get("a")?.nodes.values() ?? []) expect(target.inFlight.size).toBe(0);
    }),
    { numRuns: 200 },
  );
});
