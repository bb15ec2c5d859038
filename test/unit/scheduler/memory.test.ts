import { expect, test } from "vitest";
import type { Device } from "../../../src/core/device.ts";
import type { MemoryUse } from "../../../src/scheduler/events.ts";
import { cpu, GIB, gpu, model, World } from "./support.ts";

/** A world whose fleet measures: every question is answered with what is free and what each instance uses, in GiB. */
class MeasuredWorld extends World {
  freeGib: number;
  readonly useGib: Record<string, number> = {};
  readonly #device: Device;
  #answered = 0;

  constructor(models: ConstructorParameters<typeof World>[0], device: Device, memoryGib: Record<string, number>) {
    super(models, { devices: [device], memoryGib, measures: true });
    this.#device = device;
    this.freeGib = device.memoryFreeBytes / GIB;
  }

  /** Answers all questions that were asked so far. */
  answer(): void {
    while (this.all("measure").length > this.#answered) {
      this.#answered = this.all("measure").length;
      const use = new Map<string, MemoryUse>(
        Object.entries(this.useGib).map(([id, size]) => [id, { bytes: size * GIB, heldBytes: size * GIB }]),
      );
      this.post({ type: "devices", devices: [{ ...this.#device, memoryFreeBytes: this.freeGib * GIB }], use });
    }
  }

  /** Asks a model, and gives it an instance that uses what it takes. */
  serve(name: string, takesGib: number): string {
    const request = this.arrive(name);
    this.answer();
    const [id] = this.starting();
    if (id === undefined) throw new Error(`nothing starts for ${name}`);
    this.freeGib -= takesGib;
    this.useGib[id] = takesGib;
    this.up(id);
    this.finish(request);
    return id;
  }

  /** The process has ended; its memory is back, or not yet. */
  ended(id: string, backGib: number): void {
    delete this.useGib[id];
    this.freeGib += backGib;
    this.gone(id);
  }
}

const two = [model("a"), model("b")];

test("what other programs took since the start counts: the idle instance goes, and the next one starts when there is room", () => {
  const world = new MeasuredWorld(two, gpu(0, 24), { a: 8, b: 8 });
  const a = world.serve("a", 8);
  // Another program: 16 were free beside a, now 6 are.
  world.freeGib = 6;
  world.now += 5_000;
  const request = world.arrive("b");
  expect(world.status(request)).toBe("waiting");
  world.answer();
  expect(world.inState("stopping")).toEqual([a]);
  world.ended(a, 8);
  world.answer();
  world.up("b@cuda:0");
  expect(world.status(request)).toBe("running");
});

test("without other programs both fit, and nothing is evicted", () => {
  const world = new MeasuredWorld(two, gpu(0, 24), { a: 8, b: 8 });
  world.serve("a", 8);
  world.serve("b", 8);
  expect(world.all("stop")).toEqual([]);
});

test("a start waits until the memory of its victim is really free, however long after its end that is", () => {
  const world = new MeasuredWorld(two, gpu(0, 12), { a: 8, b: 8 });
  const a = world.serve("a", 8);
  world.now += 5_000;
  world.arrive("b");
  world.answer();
  world.ended(a, 0);
  world.answer();
  expect(world.starting()).toEqual([]);
  for (let look = 0; look < 8; look++) {
    world.advance(250);
    world.answer();
    expect(world.starting()).toEqual([]);
  }
  world.freeGib = 12;
  world.advance(250);
  world.answer();
  expect(world.starting()).toEqual(["b@cuda:0"]);
});

test("memory that does not come back ends in a refusal with what is needed and what there is", () => {
  const world = new MeasuredWorld(two, gpu(0, 12), { a: 8, b: 8 });
  const a = world.serve("a", 8);
  world.now += 5_000;
  const request = world.arrive("b");
  world.answer();
  world.ended(a, 0);
  for (let look = 0; look < 50; look++) {
    world.answer();
    world.advance(250);
  }
  expect(world.refusalOf(request)).toMatchObject({ code: "no_capacity" });
  expect(world.refusalOf(request)?.message).toMatch(/needs about 8\.6 GB.*leave 4\.3 GB of the 12\.9 GB on cuda:0/);
  expect(world.starting()).toEqual([]);
});

test("a model that fresh figures leave no room for is refused, and evicts nobody for nothing", () => {
  const world = new MeasuredWorld([model("a"), model("big")], gpu(0, 24), { a: 4, big: 20 });
  world.serve("a", 4);
  world.freeGib = 4;
  world.now += 5_000;
  const request = world.arrive("big");
  world.answer();
  expect(world.refusalOf(request)?.message).toMatch(/needs about 21\.5 GB.*leave 8\.6 GB of the 25\.8 GB/);
  expect(world.all("stop")).toEqual([]);
});

test("an estimate alone, which may be off by a tenth, keeps no model out", () => {
  const world = new MeasuredWorld([model("a")], gpu(0, 24), { a: 24 });
  world.freeGib = 23;
  world.arrive("a");
  world.answer();
  expect(world.starting()).toEqual(["a@cuda:0"]);
});

test("neither a busy nor a pinned instance goes for memory", () => {
  const world = new MeasuredWorld([model("a"), model("p", { pinned: true }), model("b")], gpu(0, 24), {
    a: 8,
    p: 8,
    b: 12,
  });
  const a = world.serve("a", 8);
  world.serve("p", 8);
  const busy = world.arrive("a");
  world.now += 5_000;
  const request = world.arrive("b");
  world.answer();
  expect(world.all("stop")).toEqual([]);
  expect(world.status(request)).toBe("waiting");
  world.finish(busy);
  world.answer();
  expect(world.inState("stopping")).toEqual([a]);
});

test("an instance that has grown over its estimate counts with what it takes", () => {
  const world = new MeasuredWorld(two, gpu(0, 24), { a: 8, b: 8 });
  const a = world.serve("a", 8);
  world.useGib[a] = 18;
  world.freeGib = 6;
  world.now += 5_000;
  world.arrive("b");
  world.answer();
  expect(world.inState("stopping")).toEqual([a]);
});

test("on a CPU, pages of the weights that the system calls available are not counted twice", () => {
  const world = new MeasuredWorld(two, cpu(16), { a: 8, b: 8 });
  const a = world.serve("a", 0);
  // Of 8 GiB resident 6 are mapped weights, which the system still calls available.
  world.freeGib = 14;
  world.post({
    type: "devices",
    devices: [{ ...cpu(16), memoryFreeBytes: 14 * GIB }],
    use: new Map([[a, { bytes: 8 * GIB, heldBytes: 2 * GIB }]]),
  });
  expect(world.state.devices.get("cpu")?.budgetBytes).toBe(16 * GIB);
  world.arrive("b");
  world.answer();
  expect(world.starting()).toEqual(["b@cpu"]);
});

test("a burst of arrivals asks for figures once", () => {
  const world = new MeasuredWorld(two, gpu(0, 24), { a: 8, b: 8 });
  world.now += 60_000;
  for (const name of ["a", "b", "a", "b"]) world.arrive(name);
  expect(world.all("measure")).toHaveLength(1);
  world.answer();
  expect(world.starting().sort()).toEqual(["a@cuda:0", "b@cuda:0"]);
});

test("beside others a model waits for its estimate; alone it does not", () => {
  const world = new MeasuredWorld(two, gpu(0, 12), {});
  world.reload({ memoryPending: new Set(["a", "b"]) });
  world.arrive("a");
  world.answer();
  expect(world.starting()).toEqual(["a@cuda:0"]);
  world.arrive("b");
  world.answer();
  expect(world.starting()).toEqual(["a@cuda:0"]);
  world.reload({ memoryPending: new Set(), memoryBytes: new Map([["b", 2 * GIB]]) });
  world.answer();
  expect(world.starting()).toEqual(["a@cuda:0", "b@cuda:0"]);
});

test("a model that is preloaded waits for figures too, and starts when they are there", () => {
  const world = new MeasuredWorld([model("a"), model("b")], gpu(0, 24), { a: 8, b: 8 });
  world.now += 60_000;
  world.operate("start", { model: "a" });
  expect(world.starting()).toEqual([]);
  world.answer();
  expect(world.starting()).toEqual(["a@cuda:0"]);
});

test("what a model takes may differ between a GPU and the CPU", () => {
  const world = new World([model("a", { devices: ["cpu"] }), model("b")], { devices: [gpu(0, 24), cpu(64)] });
  world.reload({
    memoryBytes: new Map([
      ["a", { cpuBytes: 30 * GIB, gpuBytes: 1 }],
      ["b", { cpuBytes: 1, gpuBytes: 30 * GIB }],
    ]),
  });
  world.arrive("a");
  expect(world.starting()).toEqual(["a@cpu"]);
  expect(world.refusalOf(world.arrive("b"))?.message).toContain("32.2 GB");
});
