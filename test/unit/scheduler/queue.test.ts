import fc from "fast-check";
import { expect, test } from "vitest";
import { RequestQueue } from "../../../src/scheduler/queue/queue.ts";
import { model, World } from "./support.ts";
import { type Item, item, take } from "./support-queue.ts";

test("higher priority first, then first come first served", () => {
  const world = new World([model("a", { slots: 1 })]);
  const order = [
    world.arrive("a", { priority: 10 }),
    world.arrive("a", { priority: 90 }),
    world.arrive("a", { priority: 90 }),
    world.arrive("a", { priority: 50 }),
  ];
  world.up("a@cpu");
  for (let count = 0; count < order.length; count++) world.finish(world.dispatched.at(-1) ?? "");
  expect(world.dispatched).toEqual([order[1], order[2], order[3], order[0]]);
});

test("a full queue refuses with the time that the measured rate promises", () => {
  const world = new World([model("a", { slots: 1 })], { settings: { maxQueuedPerModel: 4 } });
  world.warm("a");
  for (let count = 0; count < 60; count++) {
    const request = world.arrive("a");
    world.now += 10_000;
    world.finish(request);
  }
  for (let count = 0; count < 5; count++) world.arrive("a");
  const refusal = world.refusalOf(world.arrive("a"));
  expect(refusal?.code).toBe("queue_full");
  expect(refusal?.retryAfterS).toBe(40);
});

test("a queue of length 0 still serves what needs not wait", () => {
  const world = new World([model("a", { slots: 1, preload: true })], { settings: { maxQueuedPerModel: 0 } });
  world.up("a@cpu");
  expect(world.status(world.arrive("a"))).toBe("running");
  expect(world.refusalOf(world.arrive("a"))?.code).toBe("queue_full");
});

test("a request past its deadline is refused, in the queue and on arrival, and one in flight is left alone", () => {
  const world = new World([model("a", { slots: 1 })]);
  const running = world.arrive("a", { deadlineAt: world.now + 100 });
  const waiting = world.arrive("a", { deadlineAt: world.now + 100 });
  world.up("a@cpu");
  world.advance(101);
  expect(world.refusalOf(waiting)?.code).toBe("deadline_exceeded");
  expect(world.refusalOf(world.arrive("a", { deadlineAt: world.now }))?.code).toBe("deadline_exceeded");
  expect(world.status(running)).toBe("running");
});

test("who waits is told the place, and again when it has changed, at most once a second", () => {
  const world = new World([model("a", { slots: 1 })]);
  world.warm("a");
  const [first, , third] = [world.arrive("a"), world.arrive("a"), world.arrive("a")];
  const placesOf = (id: string): number[] =>
    world
      .all("waiting")
      .filter((effect) => effect.requestId === id)
      .map((effect) => effect.wait.place);
  expect(placesOf(third)).toEqual([2]);
  world.now += 1500;
  world.finish(first);
  expect(placesOf(third)).toEqual([2, 1]);
});

test("the queue serves as a sorted list would, whatever is added, removed, parked and let go again", () => {
  const step = fc.oneof(
    fc.record({ push: fc.nat({ max: 5 }), later: fc.nat({ max: 3 }) }),
    fc.record({ remove: fc.nat() }),
    fc.record({ park: fc.nat() }),
    fc.constant("take" as const),
  );
  fc.assert(
    fc.property(fc.array(step), (steps) => {
      const queue = new RequestQueue<Item>();
      const expected: Item[] = [];
      const parked = new Set<Item>();
      for (const each of steps) {
        const ready = expected.filter((one) => !parked.has(one));
        if (each === "take") {
          const head = take(queue, 0);
          expect(head?.number).toBe(ready[0]?.number);
          if (head !== null) expected.splice(expected.indexOf(head), 1);
        } else if ("push" in each) {
          const added = item({ priority: each.push, turnAt: each.later });
          queue.push(added);
          expected.push(added);
          expected.sort((a, b) => b.priority - a.priority || a.turnAt - b.turnAt || a.number - b.number);
        } else if ("park" in each) {
          const chosen = expected[each.park % Math.max(1, expected.length)];
          if (chosen === undefined) continue;
          if (parked.delete(chosen)) queue.unpark(chosen);
          else {
            parked.add(chosen);
            queue.park(chosen);
          }
        } else if (expected.length > 0) {
          const [gone] = expected.splice(each.remove % expected.length, 1);
          if (gone) expect([queue.remove(gone), queue.remove(gone)]).toEqual([true, false]);
        }
        expect([...queue].map(({ number }) => number).sort((a, b) => a - b)).toEqual(
          expected.map(({ number }) => number).sort((a, b) => a - b),
        );
        if (![...parked].some((one) => expected.includes(one)))
          expect([...queue].map(({ number }) => number)).toEqual(expected.map(({ number }) => number));
        expect(queue.size).toBe(expected.length);
      }
    }),
    { numRuns: 200 },
  );
});

test("the order of a long queue is told as it would be served", () => {
  const queue = new RequestQueue<Item>();
  for (let index = 0; index < 300; index++) queue.push(item({ turnAt: (index * 7919) % 1009 }));
  const told = [...queue].map(({ turnAt }) => turnAt);
  expect(told).toEqual(told.toSorted((a, b) => a - b));
});

test("tenants take turns by the tokens they got, and a greater weight gets more", () => {
  const queue = new RequestQueue<Item>();
  for (let index = 0; index < 60; index++) for (const tenant of ["a", "b"]) queue.push(item({ tenant }));
  const got = { a: 0, b: 0 };
  // Requests of b are three times as long, and b has twice the weight.
  for (let turn = 0; turn < 50; turn++) {
    const { tenant } = take(queue, 0) ?? { tenant: "" };
    const tokens = tenant === "a" ? 100 : 300;
    got[tenant as "a" | "b"] += tokens;
    queue.charge(tenant, tokens / (tenant === "a" ? 1 : 2));
  }
  expect(got.b / got.a).toBeGreaterThan(1.8);
  expect(got.b / got.a).toBeLessThan(2.2);
});

test("a tenant that was away has no claim on what the others got meanwhile, and keeps what it owes", () => {
  const queue = new RequestQueue<Item>();
  for (let index = 0; index < 40; index++) queue.push(item({ tenant: "steady" }));
  for (let index = 0; index < 20; index++) take(queue, 0, 1000);
  for (let index = 0; index < 10; index++) queue.push(item({ tenant: "returning" }));
  const turns = Array.from({ length: 10 }, () => take(queue, 0, 1000)?.tenant);
  expect(turns.filter((tenant) => tenant === "returning")).toHaveLength(5);
});

test("no lane waits longer than the bound and a turn of each other, and nobody is overtaken by who comes after the bound", () => {
  const MAX_WAIT = 1000;
  const arrival = fc.record({
    gap: fc.nat({ max: 400 }),
    tenant: fc.constantFrom("a", "b", "c"),
    priority: fc.constantFrom(0, 50, 100),
    setBack: fc.nat({ max: MAX_WAIT }),
    slack: fc.option(fc.nat({ max: MAX_WAIT })),
    tokens: fc.nat({ max: 5000 }),
  });
  fc.assert(
    fc.property(
      fc.array(arrival, { minLength: 20, maxLength: 200 }),
      fc.integer({ min: 20, max: 300 }),
      (arrivals, serviceMs) => {
        const queue = new RequestQueue<Item>();
        queue.maxWaitMs = MAX_WAIT;
        queue.drainMs = MAX_WAIT;
        const waiting = new Map<string, { items: Item[]; since: number }>();
        const tokens = new Map<Item, number>();
        let now = 0;
        let next = 0;
        let arrivesAt = 0;
        for (let turn = 0; next < arrivals.length || queue.size > 0; turn++) {
          now = turn * serviceMs;
          for (let one = arrivals[next]; one !== undefined && arrivesAt + one.gap <= now; one = arrivals[next]) {
            arrivesAt += one.gap;
            next += 1;
            const added = item({
              tenant: one.tenant,
              priority: one.priority,
              arrivedAt: arrivesAt,
              turnAt: arrivesAt + one.setBack,
              startBy: arrivesAt + (one.slack ?? Number.POSITIVE_INFINITY),
            });
            tokens.set(added, one.tokens);
            queue.push(added);
            const lane = waiting.get(`${one.tenant}${one.priority}`) ?? { items: [], since: arrivesAt };
            if (lane.items.length === 0) lane.since = Math.max(lane.since, arrivesAt);
            lane.items.push(added);
            waiting.set(`${one.tenant}${one.priority}`, lane);
          }
          const head = queue.peek(now);
          if (head === null) continue;
          take(queue, now, tokens.get(head));
          const lane = waiting.get(`${head.tenant}${head.priority}`);
          if (lane === undefined) throw new Error("unknown lane");
          for (const other of lane.items)
            expect(head.arrivedAt - other.arrivedAt, "overtaken").toBeLessThanOrEqual(MAX_WAIT);
          lane.items.splice(lane.items.indexOf(head), 1);
          lane.since = now;
          for (const { items, since } of waiting.values())
            if (items.length > 0) expect(now - since, "lane's wait").toBeLessThanOrEqual(MAX_WAIT + 9 * serviceMs);
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("listing a queue from a later place gives what the whole list has from there", () => {
  const facts = fc.record({
    priority: fc.constantFrom(10, 50),
    tenant: fc.constantFrom("a", "b", "c"),
    arrivedAt: fc.nat({ max: 5 }),
    turnAt: fc.nat({ max: 5 }),
    isParked: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(facts), fc.nat({ max: 10 }), (all, from) => {
      const queue = new RequestQueue<Item>();
      for (const { isParked, ...each } of all) {
        const request = item(each);
        queue.push(request);
        if (isParked) queue.park(request);
      }
      const whole = [...queue];
      expect(whole.length).toBe(all.length);
      expect([...queue.inOrder(() => from)]).toEqual(whole.slice(Math.max(0, from - 1)));
      // As the scheduler does: the first one, and after its removal those from a later place.
      const seen: Item[] = [];
      for (const request of queue.inOrder(() => (seen.length === 0 ? 1 : from))) {
        seen.push(request);
        queue.remove(request);
      }
      expect(seen).toEqual([...whole.slice(0, 1), ...whole.slice(Math.max(1, from - 1))]);
    }),
  );
});
