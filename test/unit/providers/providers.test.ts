import { afterEach, beforeEach, expect, test } from "vitest";
import type { ModelSpec } from "../../../src/core/model.ts";
import type { Provider } from "../../../src/core/provider.ts";
import { SendFailure } from "../../../src/core/upstream.ts";
import { Providers } from "../../../src/providers/providers.ts";
import { type FakeProvider, json, startProvider } from "../../fakes/provider.ts";
import { eventually } from "../../support/assistant.ts";
import { chatCall, RecordingSink, sendingOf } from "../../support/calls.ts";
import { FakeClock } from "../../support/fake-clock.ts";
import { testModel } from "../../support/fake-engine.ts";
import { testProvider } from "../../support/providers.ts";

let fake: FakeProvider;
let clock: FakeClock;
let providers: Providers;
let lines: string[];
let changes: number;
beforeEach(async () => {
  fake = await startProvider();
  clock = new FakeClock();
  [lines, changes] = [[], 0];
  providers = new Providers({
    nodeId: "node-1",
    clock,
    random: () => 0.5,
    log: { info: (_, message) => void lines.push(message), warn: (_, message) => void lines.push(message) },
    onChange: () => {
      changes += 1;
    },
  });
});
afterEach(async () => {
  providers.close();
  await fake[Symbol.asyncDispose]();
});

const configure = (changed: Partial<Provider> = {}, models: readonly ModelSpec[] = []): Promise<void> =>
  providers.configure({ providers: [testProvider(fake.url, changed)], models });
const names = (): string[] => providers.models(new Set()).map(({ name }) => name);
const state = (): string | undefined => providers.status()[0]?.state;
const rejected = json({ error: { message: "no such key" } }, { status: 401 });

async function send(model = "cloud/large"): Promise<unknown> {
  const upstream = providers.upstream("cloud");
  const spec = providers.models(new Set()).find(({ name }) => name === model) ?? testModel({ name: model });
  return await upstream
    ?.send(sendingOf(chatCall(), { model: spec }), new RecordingSink())
    .catch((error: unknown) => (error instanceof SendFailure ? error.reason.code : error));
}

test("its models appear under its name, and requests go out by its own name for them", async () => {
  await configure();
  expect(names()).toEqual(["cloud/large", "cloud/embed-small"]);
  expect(providers.models(new Set(["cloud/large"])).map(({ name, kind }) => [name, kind])).toEqual([
    ["cloud/embed-small", "embedding"],
  ]);
  await send();
  expect(fake.to("/chat/completions")[0]?.body).toContain('"model":"large"');
  expect(providers.status()).toMatchObject([
    {
      name: "cloud",
      state: "up",
      key: "set",
      requestsServed: 1,
      inFlight: 0,
      firstByteMs: expect.any(Number),
      lastError: null,
    },
  ]);
  expect(JSON.stringify(providers.status())).not.toContain("sk-secret");
});

test.each([
  [["large"], ["cloud/large"]],
  [
    ["embed-*", "unlisted"],
    ["cloud/embed-small", "cloud/unlisted"],
  ],
  [["*a*e"], ["cloud/large"]],
  [["l*large"], []],
])("of models = %j it offers %j", async (models, offered) => {
  await configure({ models });
  expect(names()).toEqual(offered);
});

test("without discovery its list is never asked for", async () => {
  await configure({ discovery: false, models: ["large"] });
  expect([names(), fake.calls.length, state()]).toEqual([["cloud/large"], 0, "up"]);
});

test("models of files that name it are its own too", async () => {
  const source = { type: "provider", offers: [{ provider: "cloud", model: "large" }] } as const;
  await configure({}, [testModel({ name: "mine", source })]);
  expect([...(providers.candidates()[0]?.models.keys() ?? [])]).toEqual(["mine", "cloud/large", "cloud/embed-small"]);
});

test("a rejected key takes it out of use with the reason, until a look goes well", async () => {
  fake.script("/models", rejected);
  await configure();
  expect(providers.candidates()[0]).toMatchObject({ up: false, down: { code: "provider_rejected_key" } });
  expect(providers.status()).toMatchObject([
    { state: "down", lastError: expect.stringContaining("no such key"), retryAt: clock.now() + 1_000 },
  ]);
  fake.script("/models", json({ data: [{ id: "large" }] }));
  clock.advance(1_000);
  await eventually("it is up", () => state() === "up");
  expect(names()).toEqual(["cloud/large"]);
  expect(lines).toEqual(["provider is down", "provider is up"]);
});

test("a key that a request finds rejected is looked at once", async () => {
  await configure();
  fake.script("/chat/completions", rejected);
  fake.script("/models", rejected);
  expect(await send()).toBe("provider_rejected_key");
  await eventually("it is down", () => state() === "down");
});

test("failures in a row take it out of use; without a list, the next request after the pause shows how it is", async () => {
  fake.script("/models", { status: 404 });
  await configure({ models: ["large"] });
  fake.script("/chat/completions", { status: 500 });
  for (let index = 0; index < 5; index++) expect(await send()).toBe("provider_unavailable");
  expect(state()).toBe("down");
  clock.advance(1_000);
  await eventually("it may be tried", () => state() === "up");
  await send();
  expect(state()).toBe("down");
});

test("its list is read again from time to time", async () => {
  await configure();
  fake.script("/models", json({ data: [{ id: "larger" }] }));
  const before = changes;
  clock.advance(300_000);
  await eventually("the new list is there", () => names().join() === "cloud/larger");
  expect(changes).toBeGreaterThan(before);
});

test("a reload takes up what differs and leaves the rest; a changed key keeps the models that are known", async () => {
  await configure();
  const upstream = providers.upstream("cloud");
  await configure();
  expect(providers.upstream("cloud")).toBe(upstream);
  const reloaded = configure({ apiKey: "sk-other" });
  expect(names()).toContain("cloud/large");
  await reloaded;
  expect(fake.to("/models").at(-1)?.headers.authorization).toBe("Bearer sk-other");
  await configure({ enabled: false });
  expect([names(), providers.upstream("cloud"), state()]).toEqual([[], null, "disabled"]);
});

test("a type that cannot be served fails its requests and nothing else", async () => {
  await configure({ discovery: false, models: ["large"], baseUrl: "http://127.0.0.1:1/v1" });
  expect(await send()).toBe("provider_unavailable");
});
