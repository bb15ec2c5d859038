import fc from "fast-check";
import { expect, test } from "vitest";
import { RequestQueue } from "../../../src/scheduler/queue/queue.ts";
import { model, World } from "./support.ts";
import { type Item, item, take } from "./support-queue.ts";

const MAX_WAIT = 1000;
const queueOf = (drainMs: number): RequestQueue<Item> => {
  const queue = new RequestQueue<Item>();
  queue.maxWaitMs = MAX_WAIT;
  queue.drainMs = drainMs;
  return queue;
};

test("of one lane, who would be late if all others went first goes first, the earliest before the others", () => {
  const waiting = fc.record({
    arrivedAt: fc.nat({ max: MAX_WAIT }),
    setBack: fc.nat({ max: MAX_WAIT }),
    startBy: fc.option(fc.nat({ max: 5000 })),
  });
  fc.assert(
    fc.property(fc.array(waiting, { minLength: 1, maxLength: 30 }), fc.nat({ max: 3000 }), (requests, drainMs) => {
      const queue = queueOf(drainMs);
      const all = requests
        .toSorted((a, b) => a.arrivedAt - b.arrivedAt)
        .map(({ arrivedAt, setBack, startBy }) =>
          item({ arrivedAt, turnAt: arrivedAt + setBack, startBy: startBy ?? Number.POSITIVE_INFINITY }),
        );
      for (const each of all) queue.push(each);
      // None of them has waited long enough to be overdue.
      const now = MAX_WAIT - 1;
      const reachable = all
        .filter(({ startBy }) => startBy >= now && startBy <= now + drainMs)
        .toSorted((a, b) => a.startBy - b.startBy || a.number - b.number);
      const inTurn = all.toSorted((a, b) => a.turnAt - b.turnAt || a.number - b.number);
      const oldest = all[0]?.arrivedAt ?? 0;
      if (now - oldest >= MAX_WAIT) return;
      expect(queue.peek(now)?.number).toBe((reachable[0] ?? inTurn[0])?.number);
    }),
    { numRuns: 500 },
  );
});

test("a stream of near deadlines delays the others of its lane by the bound and no longer", () => {
  const queue = queueOf(10 * MAX_WAIT);
  const patient = item({ arrivedAt: 0 });
  queue.push(patient);
  let servedAt = -1;
  for (let now = 0; now < 5 * MAX_WAIT && servedAt < 0; now += 10) {
    queue.push(item({ arrivedAt: now, startBy: now + 50 }));
    if (take(queue, now) === patient) servedAt = now;
  }
  expect(servedAt).toBeGreaterThan(0);
  expect(servedAt).toBeLessThanOrEqual(MAX_WAIT + 10);
});

test("a tenant gets no more than its share by claiming that everything is urgent", () => {
  const queue = queueOf(10 * MAX_WAIT);
  for (let index = 0; index < 60; index++) {
    queue.push(item({ tenant: "hasty", startBy: 100 + index }));
    queue.push(item({ tenant: "patient" }));
  }
  const turns = Array.from({ length: 40 }, (_, turn) => take(queue, turn, 100)?.tenant);
  expect(turns.filter((tenant) => tenant === "hasty")).toHaveLength(20);
});

test("a lower priority stays below, however near its deadline", () => {
  const queue = queueOf(MAX_WAIT);
  queue.push(item({ priority: 10, startBy: 5 }));
  const higher = item({ priority: 20 });
  queue.push(higher);
  expect(take(queue, 0)).toBe(higher);
});

/** One slot that is taken, and a model whose requests take 10 seconds each. */
function busy(settings: Partial<World["config"]["settings"]> = {}): {
  readonly world: World;
  readonly running: string;
} {
  const world = new World([model("a", { slots: 1 })], { settings });
  world.warm("a");
  for (let count = 0; count < 30; count++) {
    const request = world.arrive("a");
    world.now += 10_000;
    world.finish(request, {
      promptTokens: 100,
      cachedTokens: 0,
      promptMs: 100,
      completionTokens: 100,
      completionMs: 9_900,
    });
  }
  return { world, running: world.arrive("a") };
}

test("a request that could not wait for its turn starts in time, and the others after it in the order in which they came", () => {
  const { world, running } = busy();
  const [first, second] = [world.arrive("a", { maxTokens: 100 }), world.arrive("a", { maxTokens: 100 })];
  const pressed = world.arrive("a", { maxTokens: 100, deadlineAt: world.now + 25_000 });
  const order = [running, pressed, first, second];
  for (const id of order) {
    expect(world.status(id)).toBe("running");
    world.advance(10_000);
    world.finish(id);
  }
});

test("deadlines that are far away change nothing", () => {
  const arrivals = fc.array(
    fc.record({
      gap: fc.nat({ max: 2_000 }),
      promptTokens: fc.nat({ max: 5_000 }),
      ends: fc.boolean(),
      far: fc.boolean(),
    }),
    {
      maxLength: 40,
    },
  );
  fc.assert(
    fc.property(arrivals, (steps) => {
      const orderWith = (farMs: number | null): string[] => {
        const { world } = busy();
        for (const { gap, promptTokens, ends, far } of steps) {
          world.advance(gap);
          world.arrive("a", { promptTokens, deadlineAt: far && farMs !== null ? world.now + farMs : null });
          const last = world.dispatched.at(-1);
          if (ends && last !== undefined) world.finish(last);
        }
        return world.dispatched;
      };
      expect(orderWith(120_000)).toEqual(orderWith(null));
    }),
    { numRuns: 50 },
  );
});

test("the bound on the wait is the one of the configuration", () => {
  const { world, running } = busy({ maxWaitMs: 5_000 });
  const low = world.arrive("a", { priority: 0 });
  for (let count = 0; count < 3; count++) world.arrive("a", { priority: 90 });
  world.advance(5_001);
  world.finish(running);
  expect(world.status(low)).toBe("running");
});
