import { expect, test } from "vitest";
import { eventually, isRunning } from "../support/assistant.ts";
import { callEngine, engineRecord, fakeEngine, turnKnobs } from "../support/fake-engine.ts";
import { order, startFleet, type TestFleet } from "../support/fleet.ts";

async function ready(t: TestFleet): Promise<{ pid: number; socket: string }> {
  t.fleet.start(order());
  await eventually("ready", () => t.snapshot().state === "ready");
  return { pid: t.snapshot().pid ?? -1, socket: t.snapshot().endpoint ?? "" };
}

const ask = (socket: string, body: object = {}) =>
  callEngine(socket, "/v1/completions", { prompt: "a b c", max_tokens: 4, ...body });

const failed = (t: TestFleet) => eventually("failed", () => t.snapshot().state === "failed");

test("an engine whose health is fine while its slots make no progress is killed", async () => {
  await using t = await startFleet(fakeEngine());
  const { pid, socket } = await ready(t);
  await turnKnobs(socket, { wedged: true });
  const answer = ask(socket).catch((error: Error) => error);
  await failed(t);
  expect(t.snapshot().lastDeath?.cause).toBe("wedged");
  expect(t.snapshot().lastDeath?.message).toContain("1 of its 2 slots are busy and none made progress");
  expect(await answer).toBeInstanceOf(Error);
  await eventually("the process is gone", async () => !(await isRunning(pid)));
  expect(t.steps()).toEqual(["absent>starting", "starting>ready", "ready>failed"]);
});

test("an engine that does not say what its slots do is killed", async () => {
  await using t = await startFleet(fakeEngine());
  const { socket } = await ready(t);
  await turnKnobs(socket, { slotsHang: true });
  await failed(t);
  expect(t.snapshot().lastDeath?.message).toContain("has not reported its slots");
});

test("a slow engine that makes progress is left alone", async () => {
  await using t = await startFleet(fakeEngine({ decodeDelayMs: 60 }));
  const { socket } = await ready(t);
  const answer = await ask(socket, { max_tokens: 30 });
  expect(answer.status).toBe(200);
  expect(t.steps()).toEqual(["absent>starting", "starting>ready"]);
});

test("watching costs no token and no cached prefix", async () => {
  await using t = await startFleet(fakeEngine());
  const { socket } = await ready(t);
  const before = (await engineRecord(socket)).requests;
  const looks = t.snapshot();
  await eventually("it was looked at", () => t.snapshot() !== looks);
  expect((await engineRecord(socket)).requests).toBe(before);
});

test("a suspected engine that gives no token though it is idle is killed", async () => {
  await using t = await startFleet(fakeEngine());
  const { socket } = await ready(t);
  await turnKnobs(socket, { hangBeforeHeaders: true });
  t.fleet.suspect("fake@cpu");
  await failed(t);
  expect(t.snapshot().lastDeath?.cause).toBe("wedged");
});

test("a suspected engine that answers lives on, and a busy one is not asked", async () => {
  await using t = await startFleet(fakeEngine({ decodeDelayMs: 20 }));
  const { socket } = await ready(t);
  const before = (await engineRecord(socket)).completed;
  t.fleet.suspect("fake@cpu");
  await eventually("it was asked for a token", async () => (await engineRecord(socket)).completed === before + 1);
  const busy = ask(socket, { max_tokens: 40 });
  await eventually("it is busy", async () => (await engineRecord(socket)).inFlight === 1);
  t.fleet.suspect("fake@cpu");
  await busy;
  expect((await engineRecord(socket)).requests).toBe(before + 2);
  expect(t.snapshot().state).toBe("ready");
});
