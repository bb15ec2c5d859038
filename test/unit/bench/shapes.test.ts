import { expect, test } from "vitest";
import { Conversations } from "../../../bench/sim/shapes/conversations.ts";
import { SlotEngine } from "../../../bench/sim/shapes/engine.ts";
import { machines, runShape } from "../../../bench/sim/shapes/run.ts";
import { randomShapes, turnOrder, twelveByTwo, workOf } from "../../../bench/sim/shapes/shape.ts";

const machine = machines[0];
if (machine === undefined) throw new Error("there is no machine");

test("a seed gives the same shapes, within their ranges and limits, however many are asked for", () => {
  const limits = { contextTokens: 8192, workTokens: 60_000, maxReplicas: 2 };
  const shapes = randomShapes(7, 40, limits);
  expect(randomShapes(7, 10, limits)).toEqual(shapes.slice(0, 10));
  expect(randomShapes(8, 40, limits)).not.toEqual(shapes);
  for (const shape of shapes) {
    const { conversations, atOnce, turns, shared, firstMessage, laterMessage, answer, replicas } = shape;
    for (const [value, least, most] of [
      [conversations, 4, 24],
      [atOnce, 1, 6],
      [turns, 3, 8],
      [shared, 0, 6000],
      [firstMessage, 20, 2000],
      [laterMessage, 20, 2000],
      [answer, 8, 200],
      [replicas, 1, 2],
    ] as const) {
      expect(value).toBeGreaterThanOrEqual(least);
      expect(value).toBeLessThanOrEqual(most);
    }
    expect(shared + firstMessage + (turns - 1) * laterMessage + turns * answer).toBeLessThanOrEqual(8192);
    expect(workOf(shape)).toBeLessThanOrEqual(60_000);
  }
});

test("every conversation has one turn in each round, in another order each time", () => {
  const shape = twelveByTwo(3);
  const order = turnOrder(shape);
  const rounds = Array.from({ length: shape.turns }, (_, round) => order.slice(12 * round, 12 * (round + 1)));
  for (const round of rounds)
    expect(round.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 12 }, (_, index) => index));
  expect(rounds[0]).not.toEqual(rounds[1]);
});

test("a prompt goes on where the conversation's last answer ended, and comes when a client is free", () => {
  const source = new Conversations({ ...twelveByTwo(1), conversations: 4, atOnce: 2, turns: 2 });
  const [first, second] = [source.take(), source.take()];
  expect(source.nextAt).toBeNull();
  expect(first.prompt.subarray(0, 200)).toEqual(second.prompt.subarray(0, 200));
  expect(first.blocks[0]).toEqual(second.blocks[0]);
  expect(first.blocks[1]?.hash).not.toBe(second.blocks[1]?.hash);
  source.ended(first.id, 500);
  expect(source.nextAt).toBe(500);
  const all = [first, second];
  for (let open = second; source.nextAt !== null; ) {
    const next = source.take();
    all.push(next);
    source.ended(open.id, 1000);
    open = next;
  }
  expect(all).toHaveLength(8);
  const again = all.find(({ id }) => id === `${first.conversation}.1`);
  const known = Buffer.concat([first.prompt, first.answer]);
  expect(again?.prompt.subarray(0, known.length)).toEqual(known);
  expect(again?.newTokens).toBe((again?.prompt.length ?? 0) - known.length);
  expect(again?.blocks.map(({ hash }) => hash)).toContain(first.blocks.at(-1)?.hash);
});

test("what an engine would take for a request is what it takes, and looking changes nothing", () => {
  const source = new Conversations(twelveByTwo(1));
  const [first, second] = [source.take(), source.take()];
  const engine = new SlotEngine(machine.profile);
  engine.admit(first, 0);
  const foreseen = engine.foresee(second, 0);
  expect(engine.foresee(second, 0)).toBe(foreseen);
  engine.admit(second, 0);
  let firstTokenAt = 0;
  for (let at = engine.nextAt; at !== null && firstTokenAt === 0; at = engine.nextAt)
    if (engine.advance(at).first.includes(second)) firstTokenAt = at;
  expect(firstTokenAt).toBe(foreseen);
});

test("who keeps conversations at home prefills what is new and no more, and equal runs say the same", () => {
  const home = runShape(twelveByTwo(1), "oracle: home", machine);
  expect(home.prefilledOfNeeded).toBeCloseTo(1, 2);
  expect(home.busiestShare).toBeCloseTo(0.5, 1);
  expect(runShape(twelveByTwo(1), "least-outstanding", machine).prefilledOfNeeded).toBeGreaterThan(1.5);
  expect(runShape(twelveByTwo(1), "expected-time", machine)).toEqual(
    runShape(twelveByTwo(1), "expected-time", machine),
  );
});
