import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

const hold = fake({ tokens: 100_000, decodeDelayMs: 10 });

const start = async (): Promise<string> => {
  assistant = await installFakes({
    models: { alone: { toml: "exclusive = true\npreload = true" }, other: { toml: "preload = true" } },
  });
  const url = await assistant.serve();
  await Promise.all([assistant.ready("alone"), assistant.ready("other")]);
  return url;
};

test("while a request of an exclusive model runs nothing else runs on its device, and status and ps say whose it is", async () => {
  const url = await start();
  const leaving = new AbortController();
  const held = await open(url, "alone", hold, {
    stream: true,
    signal: leaving.signal,
    headers: { "x-request-id": "mine-alone" },
  });
  const { requests } = await assistant.record("other");
  const waiting = [ask(url, "other", "hello"), ask(url, "alone", "hello")];
  await eventually("both wait", async () => (await assistant.state()).queued === 2);
  expect((await assistant.state()).devices.find(({ id }) => id === "cpu")?.exclusiveRequest).toMatch(/^req_/);
  expect((await assistant.run(["status"])).stdout).toMatch(/held by req_/);
  expect((await assistant.record("other")).requests).toBe(requests);
  expect((await assistant.record("alone")).maxConcurrent).toBe(1);
  leaving.abort();
  await held.text().catch(() => {});
  expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual([200, 200]);
  await eventually("the device is free", async () =>
    (await assistant.state()).devices.every(({ exclusiveRequest }) => exclusiveRequest === undefined),
  );
});

test("an exclusive request waits for what runs on the device, and what comes after it waits for its turn", async () => {
  const url = await start();
  const leaving = new AbortController();
  const held = await open(url, "other", hold, { stream: true, signal: leaving.signal });
  const ended: string[] = [];
  const waiting = [
    ask(url, "alone", `hello ${fake({ tokens: 30, decodeDelayMs: 5 })}`).then(({ status }) =>
      ended.push(`alone ${status}`),
    ),
  ];
  await eventually("it waits", async () => (await assistant.state()).queued === 1);
  // A slot is free for it, and yet it must not begin.
  waiting.push(ask(url, "other", "hello").then(({ status }) => ended.push(`other ${status}`)));
  await eventually("both wait", async () => (await assistant.state()).queued === 2);
  leaving.abort();
  await held.text().catch(() => {});
  await Promise.all(waiting);
  expect(ended).toEqual(["alone 200", "other 200"]);
});
