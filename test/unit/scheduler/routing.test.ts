import { expect, test } from "vitest";
import type { PrefixMark } from "../../../src/core/request.ts";
import type { InstanceRecord } from "../../../src/scheduler/records.ts";
import { cpu, gpu, model, World } from "./support.ts";

const two = (options: Parameters<typeof model>[1] = {}): World => {
  const world = new World([model("a", { preload: true, slots: 4, ...options })], { devices: [gpu(0), gpu(1), cpu()] });
  for (const id of world.starting()) world.up(id);
  return world;
};
const marks = (...entries: [string, number][]): PrefixMark[] => entries.map(([hash, tokens]) => ({ hash, tokens }));
const record = (world: World, id: string | null): InstanceRecord => {
  const found = world.state.instances.get(id ?? "");
  if (found === undefined) throw new Error(`no instance ${id}`);
  return found;
};

test("the instance with the least outstanding work is chosen, whatever the count of requests", () => {
  const world = two();
  const long = world.arrive("a", { promptTokens: 3000, maxTokens: 500 });
  const short = [world.arrive("a"), world.arrive("a"), world.arrive("a")];
  for (const id of short) expect(world.instanceOf(id)).not.toBe(world.instanceOf(long));
});

test("a conversation goes back to the instance that has its beginning", () => {
  const world = two();
  const first = world.arrive("a", { promptTokens: 1000, maxTokens: 150, prefix: marks(["s", 500], ["u1", 1000]) });
  const home = world.instanceOf(first);
  const other = world.arrive("a", { promptTokens: 10 });
  expect(world.instanceOf(other)).not.toBe(home);
  world.finish(first, { promptTokens: 1000 });
  world.now += 1;
  world.finish(other);
  // The other instance was used later; without the prefix it would be chosen.
  const next = world.arrive("a", {
    promptTokens: 1200,
    prefix: marks(["s", 500], ["u1", 1000], ["a1", 1100], ["u2", 1200]),
  });
  expect(world.instanceOf(next)).toBe(home);
  // The engine has its own answer too.
  expect(record(world, home).prefillTokens).toBe(100);
});

test("a short turn after a long answer waits for one prompt rather than be computed anew elsewhere", () => {
  const world = two();
  const first = world.arrive("a", { promptTokens: 100, maxTokens: 300, prefix: marks(["u1", 100]) });
  const home = world.instanceOf(first);
  world.finish(first, { completionTokens: 300 });
  const elsewhere = world.arrive("a", { promptTokens: 3000, maxTokens: 10 });
  expect(world.instanceOf(elsewhere)).not.toBe(home);
  expect(world.instanceOf(world.arrive("a", { promptTokens: 700, maxTokens: 10 }))).toBe(home);
  world.finish(elsewhere);
  const next = world.arrive("a", {
    promptTokens: 450,
    maxTokens: 10,
    prefix: marks(["u1", 100], ["a1", 400], ["u2", 450]),
  });
  expect(world.instanceOf(next)).toBe(home);
});

test("a cached prefix does not outweigh a longer queue of work", () => {
  const world = two();
  const first = world.arrive("a", { promptTokens: 200, prefix: marks(["s", 200]) });
  const home = world.instanceOf(first);
  world.finish(first);
  const heavy = world.arrive("a", { promptTokens: 3000, prefix: marks(["s", 200], ["h", 3000]) });
  expect(world.instanceOf(heavy)).toBe(home);
  const next = world.arrive("a", { promptTokens: 250, prefix: marks(["s", 200], ["n", 250]) });
  expect(world.instanceOf(next)).not.toBe(home);
});

test("a conversation goes back to the instance that has its beginning although another one is below max_load", () => {
  const world = two();
  world.reload({ settings: { ...world.config.settings, maxLoad: 0.5 } });
  let asked = 0;
  const ask = (): string =>
    world.arrive("a", { promptTokens: 2000, maxTokens: 0, prefix: marks(["s", 1990], [`${++asked}`, 2000]) });
  const first = ask();
  const home = world.instanceOf(first);
  world.finish(first);
  const [second, third] = [ask(), ask()];
  expect([world.instanceOf(second), world.instanceOf(third)]).toEqual([home, home]);
  expect(record(world, home).load).toBe(0.5);
  expect(world.instanceOf(ask())).toBe(home);
  // What has no beginning there goes where less is to do.
  expect(world.instanceOf(world.arrive("a", { promptTokens: 2000 }))).not.toBe(home);
});

test("a conversation that goes on stays with its instance at max_load", () => {
  const world = two();
  world.reload({ settings: { ...world.config.settings, maxLoad: 0.25 } });
  const first = world.arrive("a", { promptTokens: 2000, maxTokens: 0, prefix: marks(["u1", 2000]) });
  const home = world.instanceOf(first);
  world.finish(first);
  const heavy = world.arrive("a", { promptTokens: 2010, maxTokens: 0, prefix: marks(["u1", 2000], ["other", 2010]) });
  expect(world.instanceOf(heavy)).toBe(home);
  world.finish(heavy);
  const other = world.arrive("a", {
    promptTokens: 2050,
    maxTokens: 0,
    prefix: marks(["u1", 2000], ["other", 2010], ["o2", 2050]),
  });
  expect(record(world, home).load).toBeGreaterThanOrEqual(0.25);
  world.finish(other);
  const [a, b] = [["o2", "o3"] as const, ["o2", "o4"] as const].map(([tip, next]) =>
    world.arrive("a", { promptTokens: 2100, maxTokens: 0, prefix: marks([tip, 2050], [next, 2100]) }),
  );
  expect(world.instanceOf(a ?? "")).toBe(home);
  expect(world.instanceOf(b ?? "")).not.toBe(home);
});

test("a beginning that many have ties new conversations to no instance", () => {
  const world = two();
  const begin = (name: string): string =>
    world.arrive("a", { promptTokens: 600, maxTokens: 10, prefix: marks(["s", 500], [name, 600]) });
  const homes = ["one", "two", "three", "four"].map((name) => {
    const request = begin(name);
    const home = world.instanceOf(request);
    world.finish(request, { promptTokens: 600, completionTokens: 10 });
    return home;
  });
  expect(new Set(homes).size).toBe(2);
  // Each of them goes back to where it was.
  for (const [index, name] of ["one", "two", "three", "four"].entries()) {
    const next = world.arrive("a", { promptTokens: 700, prefix: marks(["s", 500], [name, 600], [`${name}+`, 700]) });
    expect(world.instanceOf(next)).toBe(homes[index]);
    world.finish(next);
  }
});

test("what a request is at work on is there for nobody else", () => {
  const world = two();
  const begin = (name: string): string =>
    world.arrive("a", { promptTokens: 600, prefix: marks(["s", 500], [name, 600]) });
  const [one, two_] = [begin("one"), begin("two")];
  expect(world.instanceOf(one)).not.toBe(world.instanceOf(two_));
  expect(record(world, world.instanceOf(two_)).prefillTokens).toBe(600);
});

test("how many tokens the engine counts of a text does not make it forget", () => {
  const world = two({ replicas: 1 });
  const turn = (marked: [string, number][], promptTokens: number, cachedTokens: number): void =>
    world.finish(world.arrive("a", { promptTokens: marked.at(-1)?.[1] ?? 0, prefix: marks(...marked) }), {
      promptTokens,
      cachedTokens,
    });
  turn([["one", 1000]], 500, 0);
  turn([["two", 1000]], 500, 0);
  // Half of what we took it for, but all that the engine ever had.
  turn(
    [
      ["two", 1000],
      ["two+", 1100],
    ],
    550,
    500,
  );
  const [instance] = world.state.instances.values();
  expect([...(instance?.prefixes.conversations.keys() ?? [])]).toEqual(["one", "two+"]);
});

test("one slow short prompt does not make an instance slow for ever", () => {
  const world = two();
  const rated = (instance: string | null): number => record(world, instance).prefillPerMs;
  const ask = (promptTokens: number, promptMs: number): string | null => {
    const request = world.arrive("a", { promptTokens });
    const instance = world.instanceOf(request);
    world.finish(request, { promptTokens, cachedTokens: 0, promptMs });
    return instance;
  };
  for (let count = 0; count < 10; count++) ask(4000, 1000);
  const before = rated(world.instancesOf("a")[0] ?? null);
  const slow = ask(40, 100);
  expect(rated(slow)).toBeGreaterThan(0.8 * before);
});

test("what the engine says was cached corrects what is believed", () => {
  const world = two({ replicas: 1 });
  const say = (hash: string, cachedTokens: number): void =>
    world.finish(world.arrive("a", { promptTokens: 1000, prefix: marks([hash, 1000]) }), {
      promptTokens: 1000,
      cachedTokens,
    });
  say("one", 0);
  say("two", 0);
  say("three", 0);
  const [instance] = world.state.instances.values();
  expect([...(instance?.prefixes.conversations.keys() ?? [])]).toEqual(["one", "two", "three"]);
  // The engine has lost "two", and so "one", which it used before; "three" it used later.
  say("two", 0);
  expect([...(instance?.prefixes.conversations.keys() ?? [])]).toEqual(["three", "two"]);
});

test("what does not fit into slots × context is forgotten, the least recently used first", () => {
  const world = two({ replicas: 1, slots: 2, contextTokens: 1000 });
  for (const hash of ["one", "two", "three"])
    world.finish(world.arrive("a", { promptTokens: 900, maxTokens: 0, prefix: marks([hash, 900]) }));
  const [instance] = world.state.instances.values();
  expect([...(instance?.prefixes.conversations.keys() ?? [])]).toEqual(["two", "three"]);
});

test("a prompt that was given up is not taken for cached, an answered one is", () => {
  const world = two({ replicas: 1 });
  world.cancel(world.arrive("a", { prefix: marks(["gone", 10]) }));
  const answered = world.arrive("a", { prefix: marks(["kept", 10]) });
  world.post({ type: "first-token", requestId: answered });
  world.cancel(answered);
  const [instance] = world.state.instances.values();
  expect([...(instance?.prefixes.conversations.keys() ?? [])]).toEqual(["kept"]);
});

test("a dead instance holds no prefix", () => {
  const world = two();
  const first = world.arrive("a", { promptTokens: 1000, prefix: marks(["s", 1000]) });
  const home = world.instanceOf(first) ?? "";
  world.finish(first);
  world.die(home, "died", 60_000);
  expect([...(world.state.models.get("a")?.prefixes.held([{ hash: "s", tokens: 1 }]) ?? [])]).toEqual([]);
});

test("the first token ends the prefill part of the work, the end of the answer all of it", () => {
  const world = two({ replicas: 1 });
  const request = world.arrive("a", { promptTokens: 400, maxTokens: 100 });
  const instance = record(world, world.instanceOf(request));
  expect([instance.prefillTokens, instance.decodeTokens]).toEqual([400, 100]);
  world.post({ type: "first-token", requestId: request });
  expect([instance.prefillTokens, instance.decodeTokens]).toEqual([0, 100]);
  world.finish(request);
  expect([instance.prefillTokens, instance.decodeTokens]).toEqual([0, 0]);
});

test("an answer that came in one piece had its prompt worked off, one that was given up had not", () => {
  for (const end of ["complete", "cancelled"] as const) {
    const world = two({ replicas: 1 });
    const request = world.arrive("a", { promptTokens: 400, maxTokens: 100 });
    const instance = record(world, world.instanceOf(request));
    world.advance(200);
    world.finish(request, { end });
    expect(instance.unanswered).toBe(0);
    expect(instance.isMeasured).toBe(end === "complete");
  }
});

test("load counts work against what a usual request is, and a full instance is never below 1", () => {
  const world = two({ replicas: 1, slots: 4 });
  for (let count = 0; count < 50; count++)
    world.finish(world.arrive("a"), { promptTokens: 100, cachedTokens: 0, completionTokens: 100 });
  const instance = record(world, world.instancesOf("a")[0] ?? null);
  const long = world.arrive("a", { promptTokens: 1500, maxTokens: 100 });
  expect(instance.load).toBeCloseTo(1600 / (4 * 200), 5);
  world.finish(long);
  for (let count = 0; count < 4; count++) world.arrive("a", { promptTokens: 1, maxTokens: 0 });
  expect(instance.load).toBe(1);
});

test("of an answer in one piece the time of its tokens is not taken for time of its prompt", () => {
  const world = two({ replicas: 1 });
  for (let count = 0; count < 3; count++)
    world.finish(world.arrive("a", { promptTokens: 1000 }), { promptTokens: 1000, promptMs: 100 });
  const whole = world.arrive("a", { promptTokens: 1000 });
  const instance = record(world, world.instanceOf(whole));
  world.now += 90;
  world.arrive("a", { promptTokens: 1000 });
  world.now += 5_000;
  world.finish(whole, { promptTokens: 1000, promptMs: 100, completionMs: 4_990 });
  // The second prompt was to be done 200 ms after the first began, and has nothing to do with what the first answer
  // took.
  expect(instance.prefilledAt).toBeLessThan(world.now);
});
