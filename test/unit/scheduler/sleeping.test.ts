import { expect, test } from "vitest";
import { emptyPrefixes, PrefixIndex } from "../../../src/scheduler/prefix/prefix-index.ts";
import { cpu, gpu, model, touch, World } from "./support.ts";

const mark = (index: number) => [{ hash: `conversation ${index}`, tokens: 100 * index }];
const marks = [1, 2, 3].map(mark);

/** One request of each conversation, one after the other, on whatever instance there is. */
function talk(world: World): void {
  for (const prefix of marks) {
    const id = world.arrive("a", { prefix, promptTokens: 300 });
    for (const starting of world.starting()) world.up(starting);
    world.finish(id);
    world.advance(10);
  }
}

/** Tokens of each conversation that the instance is believed to hold. */
function heldBy(world: World, id: string): number[] {
  const instance = world.state.instances.get(id);
  if (instance === undefined) throw new Error(`no instance ${id}`);
  return marks.map((prefix) => instance.model.prefixes.cachedTokens(instance, prefix));
}

test.each([
  { saved: ["new", "mid", "old"], restored: ["new", "mid"], held: [0, 200, 300] },
  { saved: ["new", "mid", "old"], restored: ["old"], held: [100, 0, 0] },
  // What was not saved cannot come back, whatever the fleet calls it.
  { saved: ["new"], restored: ["new", "mid"], held: [0, 0, 300] },
  { saved: [], restored: ["stranger"], held: [0, 0, 0] },
  { saved: ["new", "mid", "old", "older"], restored: ["older", "old"], held: [100, 0, 0] },
])(
  "of the conversations $saved that an ended instance had, its successor holds the $restored that it was given",
  ({ saved, restored, held }) => {
    const world = new World([model("a", { slots: 2, idleTtlMs: 1_000 })], { devices: [cpu()] });
    talk(world);
    world.advance(1_000);
    for (const id of world.inState("stopping")) world.step(id, ["stopping"], "absent", { saved });
    expect(world.instancesOf("a")).toEqual([]);
    world.arrive("a", { prefix: [{ hash: "another", tokens: 10 }] });
    const [id = ""] = world.starting();
    world.step(id, ["starting"], "ready", { restored });
    expect(heldBy(world, id)).toEqual(held);
  },
);

test("a running instance that took conversations over gets the requests that go on with them", () => {
  const world = new World([model("a", { slots: 2, replicas: 2, preload: true })], { devices: [gpu(0), gpu(1)] });
  for (const id of world.starting()) world.up(id);
  const own = world.arrive("a", { prefix: [{ hash: "own", tokens: 500 }], promptTokens: 500 });
  const successor = world.instanceOf(own) ?? "";
  world.finish(own);
  const [other = ""] = world.instancesOf("a").filter((id) => id !== successor);
  const instance = world.state.instances.get(other);
  if (instance === undefined) throw new Error("no second instance");
  for (const prefix of marks) touch(instance.model.prefixes, instance, prefix, 300, 10_000);
  world.operate("stop", { instance: other });
  world.step(other, ["stopping"], "absent", { saved: ["new", "mid", "old"] });
  expect(heldBy(world, successor)).toEqual([0, 0, 0]);
  world.takeOver(successor, ["new", "old"]);
  expect(heldBy(world, successor)).toEqual([100, 0, 300]);
  // A copy is left for whoever starts next.
  for (let waiting = 0; waiting < 6; waiting++) world.arrive("a");
  const [next = ""] = world.starting();
  world.step(next, ["starting"], "ready", { restored: ["new", "mid"] });
  expect(heldBy(world, next)).toEqual([0, 200, 300]);
  expect(heldBy(world, successor)).toEqual([100, 0, 300]);
});

test("what is given is older than all that an instance has worked on, and displaces none of it", () => {
  const index = new PrefixIndex<{ prefixes: ReturnType<typeof emptyPrefixes> }>();
  const owner = { prefixes: emptyPrefixes() };
  touch(index, owner, mark(1), 400, 1_000);
  index.remember(
    owner,
    [2, 3, 4].map((number) => ({ marks: mark(number), tokens: 300 })),
    1_000,
  );
  // The third had no room.
  expect([1, 2, 3, 4].map((number) => index.cachedTokens(owner, mark(number)))).toEqual([100, 200, 300, 0]);
  expect(owner.prefixes.tokens).toBe(1_000);
  expect(index.latest(owner, 2).map(({ marks: [tip] }) => tip?.tokens)).toEqual([200, 100]);
  // Of what was given the one used longest ago goes first.
  touch(index, owner, mark(5), 200, 1_000);
  expect([1, 2, 3, 5].map((number) => index.cachedTokens(owner, mark(number)))).toEqual([100, 200, 0, 500]);
  // What it has already is not counted twice.
  index.remember(owner, [{ marks: mark(2), tokens: 300 }], 10_000);
  expect(owner.prefixes.tokens).toBe(900);
  index.clear(owner);
  expect(owner.prefixes).toEqual(emptyPrefixes());
  expect([...index.held([{ hash: "conversation 2", tokens: 1 }])]).toEqual([]);
});

test("a conversation that is given while a request works on it is not kept twice", () => {
  const index = new PrefixIndex<{ prefixes: ReturnType<typeof emptyPrefixes> }>();
  const owner = { prefixes: emptyPrefixes() };
  index.begin(owner, mark(1), 400, 1_000);
  index.remember(owner, [{ marks: mark(1), tokens: 300 }], 1_000);
  index.rest(owner, "conversation 1");
  expect(owner.prefixes.tokens).toBe(400);
  index.clear(owner);
  expect(owner.prefixes).toEqual(emptyPrefixes());
  expect([...index.held(mark(1))]).toEqual([]);
});
