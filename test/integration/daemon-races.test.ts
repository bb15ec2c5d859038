import { afterEach, expect, test } from "vitest";
import { adminRoutes } from "../../src/api/routes.ts";
import { eventually } from "../support/assistant.ts";
import { callEngine } from "../support/fake-engine.ts";
import { ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";

/** The races that such daemons lose, each in a whole daemon; test/unit/scheduler has them decision by decision. */
let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

const statuses = (answers: readonly { status: number }[]): number[] => answers.map(({ status }) => status);
const all = (count: number): number[] => Array(count).fill(200) as number[];
/** Holds a slot until it is aborted. */
const hold = fake({ tokens: 100_000, decodeDelayMs: 10 });

test("an instance that another model waits for serves those it was started for before it is evicted", async () => {
  assistant = await installFakes({
    models: { river: { knobs: { startDelayMs: 200 } }, brook: { knobs: { startDelayMs: 200 } } },
    maxInstances: 1,
  });
  const url = await assistant.serve();
  const names = Array.from({ length: 8 }, (_, index) => (index % 2 === 0 ? "river" : "brook"));
  expect(statuses(await Promise.all(names.map((name) => ask(url, name, "hello"))))).toEqual(all(8));
  // Evicted between ready and its first request, it would have been started once more.
  expect([await assistant.launches("river"), await assistant.launches("brook")]).toEqual([1, 1]);
});

test("two models that wait for room at once take two different victims, and no more run than may", async () => {
  const slow = { knobs: { slowExitMs: 500 } };
  assistant = await installFakes({ models: { river: slow, brook: slow, lake: {}, pond: {} }, maxInstances: 2 });
  const url = await assistant.serve();
  expect(statuses(await Promise.all(["river", "brook"].map((name) => ask(url, name, "hello"))))).toEqual(all(2));
  const most = assistant.watchEngines();
  expect(statuses(await Promise.all(["lake", "pond"].map((name) => ask(url, name, "hello"))))).toEqual(all(2));
  expect(await most()).toBeLessThanOrEqual(2);
  const up = (await assistant.state()).instances.filter(({ state }) => state === "ready").map(({ model }) => model);
  expect(up.sort()).toEqual(["lake", "pond"]);
  expect([await assistant.launches("lake"), await assistant.launches("pond")]).toEqual([1, 1]);
});

test("no request is sent into a process that stops: restarts under traffic cost nobody an answer", async () => {
  assistant = await installFakes({ models: { river: { slots: 4, knobs: { decodeDelayMs: 1 } } } });
  const url = await assistant.serve();
  expect((await ask(url, "river", "wake up")).status).toBe(200);
  let restarting = true;
  const seen = new Set<number>();
  const traffic = Array.from({ length: 4 }, async () => {
    while (restarting) seen.add((await ask(url, "river", "again")).status);
  });
  for (let round = 2; round <= 4; round++) {
    const { id } = await assistant.ready("river");
    expect(
      (await callEngine(assistant.adminSocket, adminRoutes.instance(id), { action: "restart" })).status,
    ).toBeLessThan(300);
    await eventually(
      "the next process serves",
      async () => (await assistant.launches("river")) === round && (await assistant.ready("river")).inFlight > 0,
    );
  }
  restarting = false;
  await Promise.all(traffic);
  expect([...seen]).toEqual([200]);
});

test("a waiter who has left causes no swap when the place becomes free", async () => {
  assistant = await installFakes({ models: { river: {}, brook: {} }, maxInstances: 1 });
  const url = await assistant.serve();
  const [holding, leaving] = [new AbortController(), new AbortController()];
  const held = await open(url, "river", hold, { stream: true, signal: holding.signal });
  const { pid } = await assistant.ready("river");
  const waiting = ask(url, "brook", "hello", { signal: leaving.signal }).catch(() => null);
  await eventually("it waits", async () => (await assistant.state()).queued === 1);
  leaving.abort();
  await waiting;
  await eventually("nobody waits", async () => (await assistant.state()).queued === 0);
  holding.abort();
  await held.text().catch(() => {});
  await eventually("the place is free", async () => (await assistant.ready("river")).inFlight === 0);
  // Served by the process that was there: whatever was going to be swapped would have been by now.
  expect((await ask(url, "river", "still there?")).status).toBe(200);
  expect((await assistant.ready("river")).pid).toBe(pid);
  expect([await assistant.launches("river"), await assistant.launches("brook")]).toEqual([1, 0]);
});

test("the limit of waiters holds while a model loads as it does while it runs", async () => {
  assistant = await installFakes({
    models: { river: { slots: 4, knobs: { startDelayMs: 1_500 } } },
    scheduler: "max_queued_per_model = 3",
  });
  const url = await assistant.serve();
  const waiting = Array.from({ length: 3 }, () => ask(url, "river", "hello"));
  await eventually("three wait", async () => (await assistant.state()).queued === 3);
  const refused = await Promise.all(Array.from({ length: 3 }, () => ask(url, "river", "too many")));
  expect(statuses(refused)).toEqual([429, 429, 429]);
  // At once, and not when the model was there.
  expect((await assistant.state()).instances[0]?.state).toBe("starting");
  for (const { headers } of refused) expect(Number(headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  expect(statuses(await Promise.all(waiting))).toEqual(all(3));
  expect((await assistant.record("river")).requests).toBe(4);
});
