import { expect, test } from "vitest";
import type { ModelSpec } from "../../../src/core/model.ts";
import { cpu, model, World } from "./support.ts";

const LOAD_MS = 5000;
const ANSWER_MS = 200;
const MAX_SWAP_WAIT_MS = 30_000;

/** Two models, room for one, and a fleet whose loads and answers take their time. */
class Swapping {
  readonly world: World;
  readonly #until = new Map<string, number>();
  swaps = 0;

  constructor(models: readonly ModelSpec[] = [model("a", { slots: 1 }), model("b", { slots: 1 })]) {
    this.world = new World(models, {
      devices: [cpu()],
      settings: { maxInstances: 1, maxSwapWaitMs: MAX_SWAP_WAIT_MS },
    });
  }

  /** Lets time pass in small steps; what is due in the fleet happens. */
  pass(ms: number, each: (world: World) => void = () => {}): void {
    const { world } = this;
    for (const end = world.now + ms; world.now < end; ) {
      for (const id of world.inState("stopping")) world.gone(id);
      for (const id of world.starting()) if (this.#isOver(`load ${id}`, LOAD_MS)) this.#up(id);
      for (const [id, state] of world.requests)
        if (state.status === "running" && this.#isOver(id, ANSWER_MS)) world.finish(id);
      each(world);
      world.advance(100);
    }
  }

  #up(id: string): void {
    this.#until.delete(`load ${id}`);
    this.swaps += 1;
    this.world.up(id);
  }

  #isOver(what: string, ms: number): boolean {
    const until = this.#until.get(what) ?? this.world.now + ms;
    this.#until.set(what, until);
    return this.world.now >= until;
  }
}

test("a model whose queue never empties gives way within max_swap_wait_s, and loses no answer by it", () => {
  const swapping = new Swapping();
  const { world } = swapping;
  world.arrive("a");
  const busy = (): void => {
    if ((world.state.models.get("a")?.queue.size ?? 0) < 3) world.arrive("a");
  };
  swapping.pass(60_000, busy);
  const asked = world.now;
  const waiting = world.arrive("b");
  swapping.pass(MAX_SWAP_WAIT_MS - 1000, busy);
  expect(world.status(waiting)).toBe("waiting");
  swapping.pass(1000 + ANSWER_MS + LOAD_MS + 500, busy);
  expect(world.status(waiting)).not.toBe("waiting");
  expect(world.now - asked).toBeLessThan(MAX_SWAP_WAIT_MS + LOAD_MS + 2000);
  expect(world.all("lost")).toEqual([]);
  // The other one comes back in its turn.
  swapping.pass(2 * MAX_SWAP_WAIT_MS, busy);
  expect(world.instancesOf("a")).toHaveLength(1);
});

test("two models that are asked for in turn swap at most at a fifth of the requests", () => {
  const swapping = new Swapping();
  let count = 0;
  swapping.pass(300_000, (world) => {
    if (world.now % 1000 !== 0) return;
    count += 1;
    world.arrive(count % 2 === 0 ? "a" : "b");
  });
  expect(count).toBe(300);
  expect(swapping.swaps).toBeGreaterThan(2);
  expect(swapping.swaps).toBeLessThanOrEqual(count / 5);
  const waits = swapping.world.all("dispatch").map(({ queuedMs }) => queuedMs);
  expect(Math.max(...waits)).toBeLessThan(MAX_SWAP_WAIT_MS + 2 * LOAD_MS + 2000);
});

test("a model that is asked for now and then gives way at once", () => {
  const swapping = new Swapping();
  const { world } = swapping;
  for (const name of ["a", "b", "a", "b"]) {
    const request = world.arrive(name);
    const asked = world.now;
    while (world.status(request) === "waiting") swapping.pass(100);
    expect(world.now - asked).toBeLessThanOrEqual(LOAD_MS + 500);
    swapping.pass(60_000);
  }
});

test("of the idle ones the cheapest to reload goes, unless it was used much more recently", () => {
  const world = new World([model("slow"), model("quick"), model("new")], { settings: { maxInstances: 2 } });
  const warm = (name: string, loadMs: number): void => {
    const request = world.arrive(name);
    world.advance(loadMs);
    for (const id of world.starting()) world.up(id);
    world.finish(request);
  };
  warm("slow", 60_000);
  warm("quick", 1000);
  world.advance(5000);
  world.arrive("new");
  expect(world.inState("stopping")).toEqual(["quick@cpu"]);
});
