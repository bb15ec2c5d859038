import fc from "fast-check";
import { expect, test } from "vitest";
import { isEvictable } from "../../../src/scheduler/eviction.ts";
import { hasProcess } from "../../../src/scheduler/life.ts";
import { cpu, gpu, model, World } from "./support.ts";

const SLOTS = 2;
const MAX_INSTANCES = 3;
const names = ["a", "b", "c", "d", "e"] as const;

const configuration = fc.record({
  gpus: fc.nat({ max: 2 }),
  replicas: fc.array(fc.constantFrom(1, 2, "auto" as const), { minLength: names.length, maxLength: names.length }),
  pinned: fc.array(fc.boolean(), { minLength: names.length, maxLength: names.length }),
  preload: fc.array(fc.boolean(), { minLength: names.length, maxLength: names.length }),
  memoryGib: fc.array(fc.constantFrom(0, 6, 10, 14), { minLength: names.length, maxLength: names.length }),
  idleTtlMs: fc.constantFrom(null, 2_000),
  threadBudget: fc.constantFrom(2, 16),
});

const step = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: fc.constant("arrive" as const),
      model: fc.constantFrom(...names),
      priority: fc.constantFrom(0, 50, 100),
      deadline: fc.option(fc.integer({ min: 1, max: 5_000 })),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("cancel" as const), pick: fc.nat() }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant("finish" as const),
      pick: fc.nat(),
      end: fc.constantFrom("complete" as const, "cancelled" as const, "engine-error" as const),
    }),
  },
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom("up" as const, "gone" as const), pick: fc.nat() }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("die" as const),
      pick: fc.nat(),
      retryInMs: fc.constantFrom(0, 1_000, 60_000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 20_000 }) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("operate" as const),
      operation: fc.constantFrom("start", "stop", "restart", "drain", "resume", "pin", "unpin"),
      pick: fc.nat(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("reload" as const),
      changed: fc.constantFrom(...names),
      removed: fc.option(fc.constantFrom(...names)),
    }),
  },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;
type Configuration = typeof configuration extends fc.Arbitrary<infer Value> ? Value : never;

function makeWorld(config: Configuration): World {
  const models = names.map((name, index) =>
    model(name, {
      slots: SLOTS,
      replicas: config.replicas[index] ?? 1,
      pinned: config.pinned[index] ?? false,
      preload: config.preload[index] ?? false,
      idleTtlMs: config.idleTtlMs,
    }),
  );
  const gpus = Array.from({ length: config.gpus }, (_, index) => gpu(index, 16));
  const memoryGib = Object.fromEntries(
    names.map((name, index) => [name, config.memoryGib[index] ?? 0] as const).filter(([, size]) => size > 0),
  );
  return new World(models, {
    devices: [...gpus, cpu(16)],
    settings: { maxInstances: MAX_INSTANCES, threadBudget: config.threadBudget, maxQueuedPerModel: 5 },
    memoryGib,
  });
}

const at = <Item>(list: readonly Item[], pick: number): Item | undefined =>
  list.length === 0 ? undefined : list[pick % list.length];

function take(world: World, action: Step, version: { count: number }): void {
  const requests = [...world.requests.keys()];
  switch (action.do) {
    case "arrive":
      world.arrive(action.model, {
        priority: action.priority,
        deadlineAt: action.deadline === null ? null : world.now + action.deadline,
      });
      return;
    case "cancel": {
      const id = at(requests, action.pick);
      if (id !== undefined) world.cancel(id);
      return;
    }
    case "finish": {
      const id = at(
        requests.filter((request) => world.status(request) === "running"),
        action.pick,
      );
      if (id !== undefined) world.finish(id, { end: action.end });
      return;
    }
    case "up":
      world.up(at(world.inState("starting"), action.pick) ?? "");
      return;
    case "gone":
      world.gone(at(world.inState("stopping"), action.pick) ?? "");
      return;
    case "die":
      world.die(at(world.inState("starting", "ready", "draining"), action.pick) ?? "", "died", action.retryInMs);
      return;
    case "wait":
      world.advance(action.ms);
      return;
    case "operate": {
      const instance = at([...world.fleet.keys()], action.pick);
      if (instance !== undefined) world.operate(action.operation as "stop", { instance });
      return;
    }
    case "reload": {
      version.count += 1;
      const models = world.config.models
        .filter((spec) => spec.name !== action.removed)
        .map((spec) =>
          spec.name === action.changed ? { ...spec, fingerprint: `${spec.name}-${version.count}` } : spec,
        );
      world.reload({ models });
    }
  }
}

/** What must hold after every single decision. */
function watch(world: World): void {
  world.check = (effects) => {
    const running = [...world.requests].filter(([, request]) => request.status === "running");
    const held = new Map<string, number>();
    for (const [id] of running) {
      const instance = world.instanceOf(id) ?? "";
      held.set(instance, (held.get(instance) ?? 0) + 1);
    }
    for (const [instance, count] of held) {
      expect(count, `requests on ${instance}`).toBeLessThanOrEqual(SLOTS);
      expect(world.state.instances.get(instance)?.inFlight.size).toBe(count);
    }
    expect(world.inState("starting", "ready", "draining", "stopping").length, "processes").toBeLessThanOrEqual(
      MAX_INSTANCES,
    );
    expect(world.state.count("live")).toBeLessThanOrEqual(MAX_INSTANCES);
    for (const effect of effects) {
      if (effect.type === "dispatch")
        expect(world.fleet.get(effect.targetId)?.state, `dispatch to ${effect.targetId}`).toBe("ready");
      if (effect.type === "dispatch") {
        const request = world.state.requests.get(effect.requestId);
        expect(
          request?.model.queue.peek(world.now)?.priority ?? -1,
          "a more urgent request was passed over",
        ).toBeLessThanOrEqual(request?.priority ?? -1);
      }
      if (effect.type === "start") {
        const record = world.state.instances.get(effect.order.instanceId);
        if (record?.purpose === "demand")
          expect(record.model.queue.size, `waiters for ${record.id}`).toBeGreaterThan(0);
      }
      if (effect.type === "stop" && effect.cause === "evicted") {
        expect(held.get(effect.instanceId) ?? 0, "requests of a victim").toBe(0);
        const record = world.state.instances.get(effect.instanceId);
        if (record !== undefined) expect(record.isPinned, "victim is pinned").toBe(false);
      }
    }
    consistent(world);
  };
}

/** The indexes agree with what they are indexes of. */
function consistent(world: World): void {
  const { state } = world;
  const records = [...state.instances.values()];
  const processes = records.filter(({ life }) => hasProcess(life));
  expect(state.count("live")).toBe(processes.length);
  expect(state.queued).toBe([...state.models.values()].reduce((sum, each) => sum + each.queue.size, 0));
  for (const device of state.devices.values()) {
    const here = processes.filter((record) => record.device === device);
    const { live } = device.taken;
    expect(live.count).toBe(here.length);
    expect(live.bytes).toBe(here.reduce((sum, record) => sum + record.bytes, 0));
    expect(live.threads).toBe(here.reduce((sum, record) => sum + record.threads, 0));
    if (device.budgetBytes !== null && live.count > 1 && here.every((record) => record.bytes > 0))
      expect(live.bytes).toBeLessThanOrEqual(device.budgetBytes);
  }
  // Busy instances on the CPU have their own threads, and together no more than the budget unless these exceed it.
  const busy = processes.filter((record) => record.device.isCpu && record.isBusy);
  const own = busy.reduce((sum, record) => sum + record.threads, 0);
  for (const record of busy) expect(record.lentThreads).toBeGreaterThanOrEqual(record.threads);
  const lent = busy.reduce((sum, record) => sum + record.lentThreads, 0);
  expect(lent).toBeLessThanOrEqual(Math.max(own, state.settings.threadBudget));
  for (const record of records) if (isEvictable(record)) expect(record.inFlight.size).toBe(0);
  for (const each of state.models.values()) {
    const up = [...each.instances].filter((record) => record.life.phase === "ready");
    expect(each.supply.slots).toBe(up.reduce((sum, record) => sum + record.slots, 0));
    // Nobody waits beside a free slot.
    if (each.queue.size > 0) expect(each.available.size).toBe(0);
  }
}

/** Everybody finishes, everything that starts gets up and everything that stops is gone, until nothing moves. */
function windDown(world: World): void {
  for (let round = 0; round < 400; round++) {
    for (const id of world.inState("stopping")) world.gone(id);
    for (const id of world.inState("starting")) world.up(id);
    for (const id of [...world.requests.keys()]) if (world.status(id) === "running") world.finish(id);
    world.advance(500);
    for (const record of [...world.state.instances.values()])
      if (record.life.phase === "held") world.operate("resume", { instance: record.id });
    if (![...world.requests.values()].some((request) => request.status === "waiting" || request.status === "running"))
      return;
  }
}

test("whatever happens, every request ends in exactly one way, limits hold and counts return to zero", () => {
  fc.assert(
    fc.property(configuration, fc.array(step, { maxLength: 60 }), (config, steps) => {
      const world = makeWorld(config);
      watch(world);
      const version = { count: 1 };
      for (const action of steps) take(world, action, version);
      windDown(world);
      for (const [id, request] of world.requests)
        expect(["done", "cancelled", "rejected", "lost"], id).toContain(request.status);
      const answers = new Map<string, number>();
      for (const effect of world.effects)
        if (effect.type === "dispatch" || effect.type === "reject")
          answers.set(effect.requestId, (answers.get(effect.requestId) ?? 0) + 1);
      for (const [id, count] of answers) expect(count, `answers to ${id}`).toBe(1);
      expect(world.state.requests.size).toBe(0);
      expect(world.state.queued).toBe(0);
      for (const record of world.state.instances.values()) {
        expect(record.inFlight.size).toBe(0);
        expect(record.prefillTokens + record.decodeTokens).toBe(0);
      }
    }),
    { numRuns: 1000 },
  );
});

test("equal histories decide equally", () => {
  fc.assert(
    fc.property(configuration, fc.array(step, { maxLength: 40 }), (config, steps) => {
      const run = (): unknown => {
        const world = makeWorld(config);
        const version = { count: 1 };
        for (const action of steps) take(world, action, version);
        return world.effects.map((effect) =>
          effect.type === "start" ? { ...effect, order: effect.order.instanceId } : effect,
        );
      };
      expect(run()).toEqual(run());
    }),
    { numRuns: 100 },
  );
});
