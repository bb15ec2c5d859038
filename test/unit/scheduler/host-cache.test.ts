import fc from "fast-check";
import { expect, test } from "vitest";
import { gpu, model, World } from "./support.ts";

const BUDGET = 1_000;
const settings = { hostCacheBudgetMib: BUDGET };

/** What each instance that runs was granted, by its model's name. */
const granted = (world: World): Record<string, number> =>
  Object.fromEntries(
    [...world.fleet.values()]
      .filter(({ state }) => state !== "absent")
      .map(({ order }) => [order.model.name, order.hostCacheMib ?? Number.NaN]),
  );
const sum = (world: World): number => Object.values(granted(world)).reduce((total, mib) => total + mib, 0);

test("a single model gets what it asks for, and at most the budget", () => {
  const modest = new World([model("a", { hostCacheMib: 400 })], { settings });
  modest.warm("a");
  expect(granted(modest)).toEqual({ a: 400 });
  const greedy = new World([model("a", { hostCacheMib: 4_000 })], { settings });
  greedy.warm("a");
  expect(granted(greedy)).toEqual({ a: BUDGET });
});

test("two instances whose caches together would exceed the budget share it", () => {
  const world = new World([model("a", { hostCacheMib: 800 }), model("b", { hostCacheMib: 800 })], { settings });
  world.warm("a");
  world.warm("b");
  expect(granted(world)).toEqual({ a: 500, b: 500 });
});

test("what one does not need, the next may have", () => {
  const world = new World([model("a", { hostCacheMib: 100 }), model("b", { hostCacheMib: 2_000 }), model("none")], {
    settings,
  });
  world.warm("a");
  world.warm("b");
  world.warm("none");
  expect(granted(world)).toEqual({ a: 100, b: 900, none: 0 });
});

test("the embedded engine, which has no such cache, takes no part of it", () => {
  const world = new World(
    [model("a", { hostCacheMib: 800 }), model("b", { hostCacheMib: 800, engine: "node-llama-cpp" })],
    { settings },
  );
  world.warm("a");
  expect(granted(world)).toEqual({ a: 800 });
});

test("what an ended instance had is granted again, but not before its process is gone", () => {
  const world = new World([model("a", { hostCacheMib: 800 }), model("b", { hostCacheMib: 800 })], { settings });
  const first = world.warm("a");
  world.warm("b");
  world.operate("stop", { instance: first });
  world.reload({ models: [model("b", { hostCacheMib: 800 }), model("c", { hostCacheMib: 800 })] });
  world.warm("c");
  expect(granted(world)).toEqual({ a: 500, b: 500, c: 0 });
  world.gone(first);
  world.operate("stop", { instance: world.instancesOf("c")[0] ?? "" });
  world.gone(world.instancesOf("c")[0] ?? "");
  world.warm("c");
  expect(granted(world)).toEqual({ b: 500, c: 500 });
});

test("whatever starts, ends, dies and is reloaded, all caches together keep within the budget", () => {
  const action = fc.record({
    what: fc.constantFrom("warm", "stop", "die", "shrink", "wait"),
    which: fc.integer({ min: 0, max: 3 }),
  });
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 1_500 }), { minLength: 4, maxLength: 4 }),
      fc.array(action, { maxLength: 25 }),
      (sizes, actions) => {
        const models = sizes.map((hostCacheMib, index) => model(`m${index}`, { hostCacheMib }));
        const world = new World(models, { settings, devices: [gpu(0), gpu(1)] });
        world.check = () => expect(sum(world)).toBeLessThanOrEqual(BUDGET);
        for (const { what, which } of actions) {
          const [id = ""] = world.instancesOf(`m${which}`);
          if (what === "warm") world.arrive(`m${which}`);
          else if (what === "stop" && id !== "") world.operate("stop", { instance: id });
          else if (what === "die") world.die(id, "died", which * 1_000);
          else if (what === "shrink")
            world.reload({
              models: models.map((spec, index) => (index === which ? { ...spec, fingerprint: `${world.now}` } : spec)),
            });
          else world.advance(5_000);
          if (what !== "die") for (const starting of world.starting()) world.up(starting);
          for (const stopping of world.inState("stopping")) if (which > 0) world.gone(stopping);
        }
      },
    ),
    { numRuns: 200 },
  );
});

test.each([
  { hostCacheMib: 1_000, budget: 1_000, held: 6 },
  { hostCacheMib: 1_000, budget: 500, held: 4 },
  { hostCacheMib: 1_000, budget: 0, held: 2 },
])(
  "of conversations as long as a slot, $held are believed to be held by two slots with $budget of $hostCacheMib MiB",
  ({ hostCacheMib, budget, held }) => {
    const world = new World([model("a", { slots: 2, contextTokens: 1_000, hostCacheMib })], {
      settings: { hostCacheBudgetMib: budget },
    });
    world.reload({ cacheTokens: new Map([["a", 6_000]]) });
    const id = world.warm("a");
    const marks = Array.from({ length: 8 }, (_, index) => [{ hash: `conversation ${index}`, tokens: 900 }]);
    for (const prefix of marks) world.finish(world.arrive("a", { prefix, promptTokens: 900, maxTokens: 20 }));
    const instance = world.state.instances.get(id);
    if (instance === undefined) throw new Error("no instance");
    expect(marks.filter((prefix) => instance.model.prefixes.cachedTokens(instance, prefix) > 0)).toHaveLength(held);
  },
);
