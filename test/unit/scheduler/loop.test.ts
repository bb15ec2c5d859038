import { expect, test, vi } from "vitest";
import { Cancellation } from "../../../src/core/cancellation.ts";
import { AssistantError, isAssistantError } from "../../../src/core/errors.ts";
import type { FleetEvent, FleetPort, StartOrder, StopCause } from "../../../src/core/fleet.ts";
import type { InstanceSnapshot, InstanceState } from "../../../src/core/instance.ts";
import type { Lease, RequestFacts, Waiting } from "../../../src/core/request.ts";
import type { Upstream } from "../../../src/core/upstream.ts";
import { Scheduler } from "../../../src/scheduler/loop.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { testSnapshot } from "../../support/fake-engine.ts";
import { cpu, defaultSettings, type ModelOptions, model, outcome } from "./support.ts";

/** Answers each order at once, in the middle of the call, as the worst of fleets would. */
class HastyFleet implements FleetPort {
  readonly calls: string[] = [];
  listener: (event: FleetEvent) => void = () => {};
  readonly states = new Map<string, InstanceState>();
  orders = new Map<string, StartOrder>();
  autoReady = true;

  start(order: StartOrder): void {
    this.calls.push(`start ${order.instanceId}`);
    this.orders.set(order.instanceId, order);
    this.to(order.instanceId, "starting");
    if (this.autoReady) this.to(order.instanceId, "ready");
  }
  lend(id: string, threads: number): void {
    this.calls.push(`lend ${id} ${threads}`);
  }
  drain(id: string): void {
    this.calls.push(`drain ${id}`);
    this.to(id, "draining");
  }
  resume(id: string): void {
    this.calls.push(`resume ${id}`);
    this.to(id, "ready");
  }
  stop(id: string, cause: StopCause): void {
    this.calls.push(`stop ${id} ${cause}`);
    this.to(id, "stopping");
    this.to(id, "absent");
  }
  to(id: string, state: InstanceState, changes: Partial<InstanceSnapshot> = {}): void {
    const from = this.states.get(id) ?? "absent";
    this.states.set(id, state);
    const order = this.orders.get(id);
    if (order === undefined) throw new Error(`${id} was never ordered`);
    const { model, device, threads } = order;
    const { slots, contextTokens } = model.load;
    const facts = { id, model: model.name, device: device.id, slots, contextTokens, threads };
    const snapshot = testSnapshot({ ...facts, state, ...changes });
    this.listener({ type: "transition", from, snapshot });
  }
}

const unused: Upstream = { send: () => Promise.reject(new Error("nothing is sent here")) };

function setUp(options: ModelOptions = {}, settings: Partial<typeof defaultSettings> = {}) {
  const clock = new FakeClock();
  const fleet = new HastyFleet();
  const error = vi.fn();
  const scheduler = new Scheduler({
    fleet,
    clock,
    log: { debug: () => {}, info: () => {}, error },
    upstreamOf: (id) => (fleet.states.get(id) === "ready" || fleet.states.get(id) === "draining" ? unused : null),
  });
  fleet.listener = (event) => scheduler.onFleetEvent(event);
  scheduler.configure({
    models: [model("a", { slots: 1, ...options })],
    devices: [cpu()],
    settings: { ...defaultSettings, ...settings },
  });
  return { clock, fleet, scheduler, error };
}

let count = 0;
const facts = (changes: Partial<RequestFacts> = {}): RequestFacts => {
  count += 1;
  return {
    id: `q${count}`,
    model: "a",
    tenant: "t",
    priority: 50,
    promptTokens: 10,
    maxTokens: 10,
    prefix: [],
    deadlineAt: null,
    ...changes,
  };
};
const forever = (): Cancellation => new Cancellation();
const codeOf = (error: unknown): string => (isAssistantError(error) ? error.code : String(error));

test("acquire on an idle ready instance resolves within the tick, with all that is needed to reach it", async () => {
  const { scheduler, clock } = setUp();
  (await scheduler.acquire(facts(), forever())).finish(outcome());
  clock.time += 5;
  let lease: Lease | null = null;
  void scheduler.acquire(facts({ id: "now" }), forever()).then((value) => {
    lease = value;
  });
  await Promise.resolve();
  expect(lease).toMatchObject({
    requestId: "now",
    targetId: "a@cpu",
    model: "a",
    upstream: unused,
    queuedMs: 0,
  });
});

test("a request with the id of one that runs is served like any other", async () => {
  const { scheduler } = setUp({ slots: 2 });
  const leases = [
    await scheduler.acquire(facts({ id: "same" }), forever()),
    await scheduler.acquire(facts({ id: "same" }), forever()),
  ];
  expect(new Set(leases.map((lease) => lease.requestId)).size).toBe(2);
  for (const lease of leases) lease.finish(outcome());
  await scheduler.close(0);
});

test("a lease gives its slot back exactly once, by finish or by dispose", async () => {
  const { scheduler } = setUp();
  {
    using first = await scheduler.acquire(facts(), forever());
    first.firstToken();
    first.finish(outcome());
    first.finish(outcome());
  }
  const second = await scheduler.acquire(facts(), forever());
  expect(scheduler.snapshot().instances.get("a@cpu")).toMatchObject({ inFlight: 1, requestsServed: 1 });
  second[Symbol.dispose]();
  expect(scheduler.snapshot()).toMatchObject({ inFlight: 0, queued: 0, requestsServed: 2 });
});

test("a request cancelled in the queue rejects with the reason and takes no slot", async () => {
  const { scheduler } = setUp();
  const first = await scheduler.acquire(facts(), forever());
  const departure = new Cancellation();
  const waiting = scheduler.acquire(facts(), departure);
  expect(scheduler.snapshot().queued).toBe(1);
  departure.cancel(new Error("client left"));
  await expect(waiting).rejects.toThrow("client left");
  expect(scheduler.snapshot().queued).toBe(0);
  first.finish(outcome());
  expect(scheduler.snapshot().inFlight).toBe(0);
});

test("a request that was cancelled before causes no start", async () => {
  const { scheduler, fleet } = setUp();
  const departure = new Cancellation();
  departure.cancel(new Error("gone"));
  await expect(scheduler.acquire(facts(), departure)).rejects.toThrow("gone");
  expect(fleet.calls).toEqual([]);
});

test("the death of the instance cancels `lost` with the reason, whenever it is looked at", async () => {
  const { scheduler, fleet } = setUp({ slots: 2 });
  const [watched, unwatched] = [
    await scheduler.acquire(facts(), forever()),
    await scheduler.acquire(facts(), forever()),
  ];
  const { lost } = watched;
  expect(lost.cancelled).toBe(false);
  const lastDeath = {
    at: 0,
    cause: "signal",
    message: "was ended by SIGKILL",
    exitCode: null,
    signal: "SIGKILL",
  } as const;
  fleet.autoReady = false;
  fleet.to("a@cpu", "failed", { lastDeath });
  expect(codeOf(lost.reason)).toBe("engine_lost");
  expect((unwatched.lost.reason as Error).message).toContain("SIGKILL");
  watched.finish(outcome());
  unwatched[Symbol.dispose]();
  expect(scheduler.snapshot().inFlight).toBe(0);
});

test("refusals carry code, remedy and the time to retry", async () => {
  const { scheduler } = setUp({}, { maxQueuedPerModel: 0 });
  await expect(scheduler.acquire(facts({ model: "nothing" }), forever())).rejects.toMatchObject({
    code: "model_not_found",
    status: 404,
  });
  const error: unknown = await scheduler.acquire(facts(), forever()).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(AssistantError);
  expect(error).toMatchObject({ code: "queue_full", status: 429 });
  expect((error as AssistantError).retryAfterS).toBeGreaterThan(0);
});

test("who waits is told of it, and is not told any more once served", async () => {
  const { scheduler, fleet } = setUp();
  fleet.autoReady = false;
  const heard: Waiting[] = [];
  const waiting = scheduler.acquire(facts(), forever(), (wait) => heard.push(wait));
  await Promise.resolve();
  expect(heard).toMatchObject([{ reason: "loading", place: 1 }]);
  fleet.to("a@cpu", "ready");
  (await waiting).finish(outcome());
  expect(heard).toHaveLength(1);
});

test("deadlines and idle times need no polling: one timer, and none when nothing is due", async () => {
  const { scheduler, clock, fleet } = setUp({ idleTtlMs: 10_000 });
  expect(clock.timers.size).toBe(0);
  const lease = await scheduler.acquire(facts(), forever());
  const late = scheduler.acquire(facts({ deadlineAt: clock.time + 50 }), forever()).catch(codeOf);
  expect(clock.timers.size).toBe(1);
  clock.advance(50);
  expect(await late).toBe("deadline_exceeded");
  lease.finish(outcome());
  clock.advance(9_999);
  expect(fleet.calls).toEqual(["start a@cpu"]);
  clock.advance(1);
  expect(fleet.calls).toEqual(["start a@cpu", "drain a@cpu", "stop a@cpu idle"]);
  expect(clock.timers.size).toBe(0);
});

test("an idle time longer than a timer can be neither fires early nor spins", async () => {
  const { scheduler, clock, fleet } = setUp({ idleTtlMs: 40 * 86_400_000 });
  (await scheduler.acquire(facts(), forever())).finish(outcome());
  clock.advance(30 * 86_400_000);
  expect(fleet.calls).toEqual(["start a@cpu"]);
  clock.advance(10 * 86_400_000 + 1);
  expect(fleet.calls.at(-1)).toBe("stop a@cpu idle");
});

test("close refuses who waits, and resolves when the last lease is back", async () => {
  const { scheduler } = setUp();
  const lease = await scheduler.acquire(facts(), forever());
  const waiting = scheduler.acquire(facts(), forever()).catch(codeOf);
  let left: number | null = null;
  const closing = scheduler.close(60_000).then((value) => {
    left = value;
  });
  expect(await waiting).toBe("shutting_down");
  expect(await scheduler.acquire(facts(), forever()).catch(codeOf)).toBe("shutting_down");
  expect(left).toBeNull();
  lease.finish(outcome());
  await closing;
  expect(left).toBe(0);
});

test("close does not wait for ever for a lease that does not come back", async () => {
  const { scheduler, clock } = setUp();
  await scheduler.acquire(facts(), forever());
  const closing = scheduler.close(5_000);
  clock.advance(5_000);
  expect(await closing).toBe(1);
  expect(clock.timers.size).toBe(0);
});

test("an instance the fleet no longer knows gives an error to the request, not a wait without end", async () => {
  const { scheduler, fleet } = setUp();
  (await scheduler.acquire(facts(), forever())).finish(outcome());
  fleet.states.set("a@cpu", "stopping");
  expect(await scheduler.acquire(facts(), forever()).catch(codeOf)).toBe("engine_lost");
  expect(scheduler.snapshot().inFlight).toBe(0);
});

test("a fleet that throws costs one effect and no later one", async () => {
  const { scheduler, fleet, error } = setUp();
  const start = fleet.start.bind(fleet);
  fleet.start = () => {
    throw new Error("no such engine");
  };
  const waiting = scheduler.acquire(facts(), forever());
  expect(error).toHaveBeenCalledOnce();
  fleet.start = start;
  const last = fleet.orders;
  expect(last.size).toBe(0);
  scheduler.operate("restart", { instance: "a@cpu" });
  expect(scheduler.snapshot().queued).toBe(1);
  await scheduler.close(0);
  expect(await waiting.catch(codeOf)).toBe("shutting_down");
});

test("an operator's word about something unknown is refused by name", () => {
  const { scheduler } = setUp();
  expect(() => scheduler.operate("stop", { instance: "x@cpu" })).toThrow(/x@cpu/);
  expect(() => scheduler.operate("start", { model: "x" })).toThrow(/"x"/);
});

test("an instance that has ended is started again on an operator's word", async () => {
  const { scheduler, fleet } = setUp();
  (await scheduler.acquire(facts(), forever())).finish(outcome());
  scheduler.operate("stop", { instance: "a@cpu" });
  expect(fleet.calls.at(-1)).toBe("stop a@cpu stopped");
  scheduler.operate("restart", { instance: "a@cpu" });
  expect(fleet.calls.at(-1)).toBe("start a@cpu");
});

test("a gateway that asks again from within `lost` is served by the restarted instance", async () => {
  const { scheduler, fleet } = setUp();
  const lease = await scheduler.acquire(facts(), forever());
  const again: Promise<Lease>[] = [];
  lease.lost.onCancel = () => again.push(scheduler.acquire(facts({ id: "again" }), forever()));
  fleet.to("a@cpu", "failed", { lastDeath: { at: 0, cause: "exit", message: "exited", exitCode: 1, signal: null } });
  expect((await again[0])?.targetId).toBe("a@cpu");
});
