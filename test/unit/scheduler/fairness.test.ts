import fc from "fast-check";
import { expect, test } from "vitest";
import { Accounts } from "../../../src/scheduler/queue/accounts.ts";
import { RequestQueue } from "../../../src/scheduler/queue/queue.ts";
import { cpu, gpu, model, World } from "./support.ts";
import { type Item, item, take } from "./support-queue.ts";

/** Two models with one slot each. */
function twoModels(devicesOf: (name: string) => readonly string[]): World {
  const specs = ["a", "b"].map((name) =>
    model(name, { slots: 1, replicas: 1, preload: true, devices: [...devicesOf(name)] }),
  );
  const world = new World(specs, { devices: [gpu(0), gpu(1), cpu()] });
  for (const id of world.starting()) world.up(id);
  return world;
}

/** Every slot is given back every second; returns how many of b's went to the light tenant. */
function turnsOfLight(world: World, turns: number, outcomes: Parameters<World["finish"]>[1] = {}): number {
  const owners = new Map<string, string>();
  const send = (name: string, tenant: string): void =>
    void owners.set(world.arrive(name, { tenant }), `${name} ${tenant}`);
  for (const name of ["a", "b"]) for (let count = 0; count < 3 * turns; count++) send(name, "flooder");
  for (let count = 0; count < 3 * turns; count++) send("b", "light");
  const from = world.dispatched.length;
  for (let turn = 0; turn < turns; turn++) {
    world.now += 1000;
    const running = [...owners].filter(([id]) => world.status(id) === "running");
    for (const [id, owner] of running) world.finish(id, owner.startsWith("a") ? outcomes : {});
  }
  return world.dispatched.slice(from).filter((id) => owners.get(id) === "b light").length;
}

test("who has had its part of a device with one model is behind others with the next model there", () => {
  // As many turns as the flooder gets in all: nearly every one of b's.
  expect(
    turnsOfLight(
      twoModels(() => ["cuda:0"]),
      20,
    ),
  ).toBeGreaterThanOrEqual(18);
});

test("work on one device is nothing that was taken from who waits for another", () => {
  const turns = turnsOfLight(
    twoModels((name) => [name === "a" ? "cuda:0" : "cuda:1"]),
    20,
  );
  expect(turns).toBeGreaterThanOrEqual(9);
  expect(turns).toBeLessThanOrEqual(11);
});

test("a token counts for the time it takes: what is had of a fast model weighs little", () => {
  const world = twoModels(() => ["cuda:0"]);
  for (let count = 0; count < 5; count++)
    world.finish(world.arrive("a", { tenant: "other" }), { promptTokens: 5000, promptMs: 100 });
  for (let count = 0; count < 5; count++)
    world.finish(world.arrive("b", { tenant: "other" }), { promptTokens: 50, promptMs: 100 });
  // a is a hundred times as fast, and gives the flooder as many tokens as b.
  const turns = turnsOfLight(world, 20, { promptMs: 1, promptTokens: 100 });
  expect(turns).toBeLessThanOrEqual(12);
});

test("a queue that comes to other accounts, as after a reload, serves all, in turns by those", () => {
  const queue = new RequestQueue<Item>();
  for (let index = 0; index < 12; index++)
    for (const tenant of ["x", "y"]) queue.push(item({ tenant, priority: index % 3 }));
  queue.charge("x", 5000);
  const accounts = new Accounts();
  const other = new RequestQueue<Item>();
  other.share(accounts);
  other.push(item({ tenant: "z" }));
  queue.share(accounts);
  accounts.charge("y", 150);
  const served: string[] = [];
  for (let next = take(queue, 0, 100); next !== null; next = take(queue, 0, 100))
    served.push(`${next.priority} ${next.tenant}`);
  expect(served).toHaveLength(24);
  // What x owed to the former accounts is forgotten; y has had one and a half turns here.
  expect(served.slice(0, 5)).toEqual(["2 x", "2 x", "2 y", "2 x", "2 y"]);
  expect(queue.size).toBe(0);
});

test("models of one device have one account, those of another a second", () => {
  const world = new World(
    [
      model("a", { devices: ["cuda:0"] }),
      model("b", { devices: ["cuda:1"] }),
      model("c", { devices: ["cpu"] }),
      model("d", { devices: ["cuda:0", "cuda:1"] }),
    ],
    { devices: [gpu(0), gpu(1), cpu()] },
  );
  expect([...world.state.accounts.keys()]).toEqual(["cpu", "cuda:0 cuda:1"]);
  const kept = world.state.accounts.get("cpu");
  world.reload({ models: world.config.models.slice(0, 3) });
  expect([...world.state.accounts.keys()]).toEqual(["cuda:0", "cuda:1", "cpu"]);
  expect(world.state.accounts.get("cpu")).toBe(kept);
});

test("the tenant that got least has the next turn; what is given back counts with the next charge", () => {
  const step = fc.record({
    tenant: fc.constantFrom("x", "y", "z"),
    work: fc.integer({ min: -500, max: 1000 }),
    takes: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.constantFrom(1, 30), (steps, priorities) => {
      const queue = new RequestQueue<Item>();
      const got: Record<string, number> = { x: 0, y: 0, z: 0 };
      const credit: Record<string, number> = { x: 0, y: 0, z: 0 };
      for (let index = 0; index < 60 + priorities; index++)
        for (const tenant of ["x", "y", "z"]) queue.push(item({ tenant, priority: index < 60 ? 99 : index - 60 }));
      for (const { tenant, work, takes } of steps) {
        queue.charge(tenant, work);
        const paid = Math.min(work, credit[tenant] ?? 0);
        credit[tenant] = (credit[tenant] ?? 0) - paid;
        got[tenant] = (got[tenant] ?? 0) + work - paid;
        if (!takes) continue;
        const least = Math.min(...Object.values(got));
        const next = take(queue, 0)?.tenant ?? "";
        expect(got[next]).toBe(least);
      }
    }),
    { numRuns: 300 },
  );
});
