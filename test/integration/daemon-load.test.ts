import { createHash } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

test("a burst of fifty requests for a model that is not loaded starts it once, and every one is answered", async () => {
  assistant = await installFakes({ models: { river: { knobs: { startDelayMs: 300 }, slots: 4 } } });
  const url = await assistant.serve();
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, index) => ask(url, "river", `hello ${index}`, { stream: index % 2 === 0 })),
  );
  expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
  expect(await assistant.launches("river")).toBe(1);
  const record = await assistant.record("river");
  expect(record.maxConcurrent).toBeLessThanOrEqual(4);
  expect(record.completed).toBe(51);
});

test("a stream that has to wait for its model shows signs of life, and a client's time-out is not what it meets", async () => {
  assistant = await installFakes({ models: { river: { knobs: { startDelayMs: 2_600 } } } });
  const url = await assistant.serve();
  const { text } = await ask(url, "river", "hello", { stream: true });
  expect(text).toMatch(/^: .*load/m);
  expect(text).toContain("[DONE]");
});

test("over the limit of waiters a request is refused at once, with a time after which to come again", async () => {
  assistant = await installFakes({ models: { river: { slots: 1 } }, scheduler: "max_queued_per_model = 3" });
  const url = await assistant.serve();
  await ask(url, "river", "wake up");
  const leaving = new AbortController();
  const held = open(url, "river", `hold ${fake({ tokens: 100_000, decodeDelayMs: 10 })}`, {
    stream: true,
    signal: leaving.signal,
  });
  await held;
  const waiting = Array.from({ length: 3 }, () => ask(url, "river", "wait"));
  await eventually("three wait", async () => (await assistant.state()).queued === 3);
  const refused = await ask(url, "river", "one too many");
  expect(refused.status).toBe(429);
  expect(refused.text).toContain("queue_full");
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  leaving.abort();
  // Who waited keeps the place; the limit cost nobody else anything.
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200, 200]);
});

test("a limit of one instance is kept under traffic to two models, and neither starves", async () => {
  assistant = await installFakes({
    models: { river: { knobs: { decodeDelayMs: 2 } }, brook: { knobs: { decodeDelayMs: 2 } } },
    maxInstances: 1,
    scheduler: "max_swap_wait_s = 0.5",
  });
  const url = await assistant.serve();
  const most = assistant.watchEngines();
  // A stream of requests for one model that never lets it idle, and some for the other in between.
  let busy = true;
  const flood = Array.from({ length: 4 }, async () => {
    while (busy) expect((await ask(url, "river", "again")).status).toBe(200);
  });
  await eventually("river serves", async () => (await assistant.state()).requestsServed > 10);
  for (let count = 0; count < 2; count++) expect((await ask(url, "brook", "my turn")).status).toBe(200);
  busy = false;
  await Promise.all(flood);
  expect(await most()).toBe(1);
});

test("where a request stands can be asked for by its id, with its own key alone", async () => {
  const keys = ["ada", "bob"];
  const sections = keys.map(
    (key) =>
      `[[server.api_key_sha256]]\nname = "${key}"\nsha256 = "${createHash("sha256").update(key).digest("hex")}"\n`,
  );
  assistant = await installFakes({ models: { river: { slots: 1 } }, config: sections.join("\n") });
  const url = await assistant.serve();
  const leaving = new AbortController();
  const send = (id: string, key: string, content: string): Promise<Response> =>
    fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}`, "x-request-id": id },
      body: JSON.stringify({ model: "river", stream: true, messages: [{ role: "user", content }] }),
      signal: leaving.signal,
    });
  const where = async (id: string, key: string): Promise<{ status: number; body: Record<string, unknown> }> => {
    const answer = await fetch(`${url}/v1/requests/${id}`, { headers: { authorization: `Bearer ${key}` } });
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  };
  const held = await send("first", "ada", `hold ${fake({ tokens: 100_000, decodeDelayMs: 10 })}`);
  const waiting = [send("second", "ada", "wait"), send("third", "bob", "wait")].map((answer) =>
    answer.catch(() => null),
  );
  await eventually("two wait", async () => (await assistant.state()).queued === 2);
  await eventually("the first answers", async () => (await where("first", "ada")).body["state"] === "answering");
  expect((await where("first", "ada")).body).toMatchObject({
    object: "request",
    model: "river",
    place: null,
    instance: "river@cpu",
  });
  // Tenants take turns: each of the two may have to let the other one go first.
  expect((await where("second", "ada")).body).toMatchObject({
    state: "waiting",
    reason: "queued",
    place: 2,
    instance: null,
  });
  expect((await where("third", "bob")).body).toMatchObject({ state: "waiting", place: 2 });
  const foreign = await where("third", "ada");
  const unknown = await where("fourth", "ada");
  expect([foreign.status, unknown.status]).toEqual([404, 404]);
  expect(foreign.body).toMatchObject({ error: { code: "request_not_found" } });
  leaving.abort();
  await held.body?.cancel().catch(() => {});
  await Promise.all(waiting);
  await eventually("it has ended", async () => (await where("first", "ada")).status === 404);
});
