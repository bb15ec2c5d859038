import fc from "fast-check";
import { expect, test } from "vitest";
import { type Queued, RequestQueue } from "../../../src/scheduler/queue.ts";
import { model, World } from "./support.ts";

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

interface Item extends Queued<Item> {
  readonly number: number;
}

test("the queue serves as a sorted list would, whatever is added and removed", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.record({ push: fc.nat({ max: 5 }) }), fc.record({ remove: fc.nat() }), fc.constant("take" as const))), (steps) => {
      const queue = new RequestQueue<Item>();
      const expected: Item[] = [];
      let number = 0;
      for (const step of steps) {
        if (step === "take") {
          const head = queue.peek();
          expect(head?.number).toBe(expected[0]?.number);
          if (head !== null) queue.remove(head);
          expected.shift();
        } else if ("push" in step) {
          number += 1;
          const item: Item = { number, priority: step.push, previous: null, next: null, queued: false };
          queue.push(item);
          expected.push(item);
          expected.sort((a, b) => b.priority - a.priority || a.number - b.number);
          expect(queue.lastPlace(item.priority)).toBe(expected.indexOf(item) + 1);
        } else if (expected.length > 0) {
          const [item] = expected.splice(step.remove % expected.length, 1);
          if (item) expect([queue.remove(item), queue.remove(item)]).toEqual([true, false]);
        }
        expect([...queue].map((item) => item.number)).toEqual(expected.map((item) => item.number));
        expect(queue.size).toBe(expected.length);
      }
    }),
    { numRuns: 200 },
  );
});
