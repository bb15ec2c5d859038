import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
let url: string;
let ended: string[] = [];

const authorization = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
const section = (name: string, weight: number): string =>
  `[[server.api_key_sha256]]\nname = "${name}"\nsha256 = "${createHash("sha256").update(name).digest("hex")}"\nweight = ${weight}\n`;

/** Of whom nothing is tested. */
const ANYBODY = authorization("anybody");

/** A model with one slot. */
beforeAll(async () => {
  const sections = ["anybody", "flood", "late", "small"].map((name) => section(name, 1));
  assistant = await installFakes({
    models: { river: { slots: 1 } },
    config: [...sections, section("large", 3)].join("\n"),
  });
  url = await assistant.serve();
});
afterAll(() => assistant[Symbol.asyncDispose]());

/** Takes the slot until the returned function is called. */
async function takeSlot(headers = ANYBODY): Promise<() => void> {
  ended = [];
  const leaving = new AbortController();
  const held = await open(url, "river", `hold ${fake({ tokens: 100_000, decodeDelayMs: 10 })}`, {
    stream: true,
    signal: leaving.signal,
    headers,
  });
  void held.text().catch(() => {});
  return () => leaving.abort();
}

/** Sends a request and waits until it stands in the queue; its name is noted when its answer has come. */
async function queue(name: string, headers: Record<string, string>): Promise<void> {
  const before = (await assistant.state()).queued;
  // Long enough that the order of the answers is that of the starts.
  void ask(url, "river", `${name} ${fake({ tokens: 10, decodeDelayMs: 2 })}`, { headers }).then(({ status }) =>
    ended.push(`${name} ${status}`),
  );
  await eventually(`${name} waits`, async () => (await assistant.state()).queued === before + 1);
}

test("who waits is told place and expected start: in the head, in the stream's signs of life, and by its id", async () => {
  ended = [];
  // Answers of about a tenth of a second, from which the wait is estimated.
  for (let count = 0; count < 3; count++)
    await ask(url, "river", `first ${fake({ tokens: 20, decodeDelayMs: 5 })}`, { headers: ANYBODY });
  const release = await takeSlot();
  await queue("before it", ANYBODY);
  const waiting = open(url, "river", "story", { stream: true, headers: { ...ANYBODY, "x-request-id": "mine" } });
  await eventually("both wait", async () => (await assistant.state()).queued === 2);
  const where = (await (await fetch(`${url}/v1/requests/mine`, { headers: ANYBODY })).json()) as {
    expected_start_ms: number;
  };
  expect(where).toMatchObject({ state: "waiting", reason: "queued", place: 2, expected_start_ms: expect.any(Number) });
  const stream = await waiting;
  expect(stream.headers.get("x-assistant-queue-place")).toBe("2");
  expect(Number(stream.headers.get("x-assistant-expected-start-ms"))).toBeGreaterThan(0);
  release();
  const text = await stream.text();
  expect(text).toMatch(/^: waiting in the queue, place 2, about \d+ s to go$/m);
  expect(text).toContain("[DONE]");
  await eventually("the one before it was answered first", () => ended.length === 1);
});

test("of those who wait the one with the highest priority is served first, whenever it came", async () => {
  const release = await takeSlot();
  for (const [name, priority] of [
    ["low", "10"],
    ["usual", "50"],
    ["high", "90"],
  ] as const)
    await queue(name, { ...ANYBODY, "x-assistant-priority": priority });
  release();
  await eventually("all are answered", () => ended.length === 3);
  expect(ended).toEqual(["high 200", "usual 200", "low 200"]);
});

test("who comes beside a flood with another key waits for one answer of it, not for the whole queue", async () => {
  const release = await takeSlot(authorization("flood"));
  for (let count = 1; count <= 8; count++) await queue(`flood ${count}`, authorization("flood"));
  await queue("late", authorization("late"));
  release();
  await eventually("all are answered", () => ended.length === 9);
  expect(ended.indexOf("late 200")).toBeLessThanOrEqual(1);
});

test("a key with three times the weight gets about three times as much of a queue that never empties", async () => {
  const release = await takeSlot(authorization("small"));
  for (let count = 1; count <= 12; count++)
    for (const key of ["small", "large"]) await queue(`${key} ${count}`, authorization(key));
  release();
  await eventually("all are answered", () => ended.length === 24);
  // As long as both wait, which is in the first half.
  const large = ended.slice(0, 12).filter((name) => name.startsWith("large")).length;
  expect(large).toBeGreaterThanOrEqual(8);
  expect(large).toBeLessThanOrEqual(11);
});

test("a request whose time is over while it waits is refused, and the engine never hears of it", async () => {
  const release = await takeSlot();
  const { requests } = await assistant.record("river");
  const late = await ask(url, "river", "in time?", { headers: { ...ANYBODY, "x-request-timeout": "0.3" } });
  expect([late.status, JSON.parse(late.text)]).toEqual([
    504,
    { error: expect.objectContaining({ code: "deadline_exceeded" }) },
  ]);
  expect((await assistant.state()).queued).toBe(0);
  release();
  expect((await ask(url, "river", "and now?", { headers: ANYBODY })).status).toBe(200);
  expect((await assistant.record("river")).requests).toBe(requests + 1);
});
