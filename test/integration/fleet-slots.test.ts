import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Engine } from "../../src/core/engine.ts";
import type { StopCause } from "../../src/core/fleet.ts";
import type { ModelSpec } from "../../src/core/model.ts";
import { createEngineProbe } from "../../src/engines/surface.ts";
import type { FleetSettings } from "../../src/fleet/ports.ts";
import { SlotCache } from "../../src/fleet/slot-cache.ts";
import { eventually } from "../support/assistant.ts";
import { callEngine, fakeEngine } from "../support/fake-engine.ts";
import { order, startFleet, type TestFleet } from "../support/fleet.ts";
import { emptyGguf } from "../support/gguf-writer.ts";

const conversation = Array.from({ length: 200 }, (_, index) => `word${index}`).join(" ");

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "slots-"));
  await writeFile(join(dir, "weights.gguf"), emptyGguf);
});
afterEach(() => rm(dir, { recursive: true, force: true, maxRetries: 3 }));

function start(
  engine: Engine,
  settings: Partial<FleetSettings> = {},
  isCurrent: (model: ModelSpec) => boolean = () => true,
): Promise<TestFleet> {
  const quiet = { info: () => {}, warn: () => {} };
  const slotCache = new SlotCache({
    directory: join(dir, "slots"),
    budgetBytes: () => 2 ** 30,
    probe: createEngineProbe(),
    log: quiet,
  });
  return startFleet(engine, settings, { slotCache, isCurrent, resolveWeights: async () => join(dir, "weights.gguf") });
}

async function up(t: TestFleet, id = "fake@cpu"): Promise<void> {
  t.fleet.start(order({ instanceId: id }));
  await eventually("it is ready", () => t.snapshot(id).state === "ready");
}

async function down(t: TestFleet, cause: StopCause, id = "fake@cpu"): Promise<void> {
  t.fleet.stop(id, cause);
  await eventually("it is gone", () => t.snapshot(id).state === "absent");
}

/** Asks, and returns how much of the prompt was in the slot. */
async function cachedOf(t: TestFleet, prompt: string, id = "fake@cpu"): Promise<number> {
  const { text } = await callEngine(t.snapshot(id).endpoint ?? "", "/v1/completions", { prompt, max_tokens: 1 });
  return (JSON.parse(text) as { timings: { cache_n: number } }).timings.cache_n;
}

const saved = (): Promise<string[]> => readdir(join(dir, "slots", "fake")).catch(() => []);

test.each(["idle", "evicted", "reload"] as const)("a conversation outlives an end by %s", async (cause) => {
  await using t = await start(fakeEngine());
  await up(t);
  expect(await cachedOf(t, conversation)).toBe(0);
  await down(t, cause);
  expect(await saved()).toHaveLength(1);
  await up(t);
  expect(await saved()).toEqual([]);
  expect(await cachedOf(t, `${conversation} and more`)).toBe(200);
  expect(t.steps()).toEqual(
    Array.from({ length: 2 }, () => ["absent>starting", "starting>ready", "ready>stopping", "stopping>absent"])
      .flat()
      .slice(0, -2),
  );
});

test("an operator's stop keeps nothing, nor does a reload that changed the model", async () => {
  await using t = await start(fakeEngine(), {}, () => false);
  for (const cause of ["stopped", "reload"] as const) {
    await up(t);
    await cachedOf(t, conversation);
    await down(t, cause);
    expect(await saved()).toEqual([]);
  }
});

test("a crash keeps nothing", async () => {
  await using t = await start(fakeEngine());
  await up(t);
  await cachedOf(t, conversation);
  process.kill(t.snapshot().pid ?? -1, "SIGKILL");
  await eventually("it has failed", () => t.snapshot().state === "failed");
  expect(await saved()).toEqual([]);
});

test("a save that never ends does not hold up the end", async () => {
  await using t = await start(fakeEngine({ slotSaveHang: true }), { slotsMs: 200 });
  await up(t);
  await cachedOf(t, conversation);
  await down(t, "idle");
  expect(t.steps().at(-1)).toBe("stopping>absent");
  await up(t);
  expect(await cachedOf(t, conversation)).toBe(0);
});

test("a daemon that ends does not wait for a save", async () => {
  await using t = await start(fakeEngine({ slotSaveHang: true }), { slotsMs: 600_000 });
  await up(t);
  await cachedOf(t, conversation);
  t.fleet.stop("fake@cpu", "idle");
  await eventually("it is being stopped", () => t.snapshot().state === "stopping");
  await t.fleet.close(5_000);
  expect(t.snapshot().state).toBe("absent");
});

test("an engine that cannot save slots ends as ever", async () => {
  await using t = await start(fakeEngine({ slotDir: "" }));
  await up(t);
  await cachedOf(t, conversation);
  await down(t, "idle");
  expect(await saved()).toEqual([]);
});

test("of another version of the engine nothing is taken", async () => {
  let version = "1";
  const base = fakeEngine();
  const engine: Engine = {
    ...base,
    availability: async () =>
      ({ ...(await base.availability()), version }) as Awaited<ReturnType<Engine["availability"]>>,
  };
  await using t = await start(engine);
  await up(t);
  await cachedOf(t, conversation);
  await down(t, "idle");
  version = "2";
  await up(t);
  expect(await cachedOf(t, conversation)).toBe(0);
});

const talks = ["rivers", "mountains", "bridges", "caves"].map((topic) =>
  Array.from({ length: 100 }, (_, index) => `${topic}${index}`).join(" "),
);

test("what lost its slot to other conversations outlives the end too, and comes back into slots and host memory", async () => {
  await using t = await start(fakeEngine({ hostCache: 10 }));
  await up(t);
  for (const talk of talks) expect(await cachedOf(t, talk)).toBe(0);
  await down(t, "evicted");
  expect(t.snapshot().savedConversations).toHaveLength(4);
  expect((await saved()).toSorted()).toEqual([...(t.snapshot().savedConversations ?? [])].toSorted());
  const names = t.snapshot().savedConversations;
  await up(t);
  expect(t.snapshot().restoredConversations).toEqual(names);
  for (const talk of talks) expect(await cachedOf(t, `${talk} and more`)).toBe(100);
  // Saved anew, and what it had copies of is gone.
  await down(t, "evicted");
  expect(await saved()).toHaveLength(4);
});

test("a running instance takes over what another one of its model leaves, and tells whose", async () => {
  await using t = await start(fakeEngine({ hostCache: 10 }));
  await up(t);
  await up(t, "fake@cpu#2");
  for (const talk of talks) await cachedOf(t, talk);
  await down(t, "evicted");
  await eventually("it was taken over", () => t.events.some((event) => event.type === "takeover"));
  const takeover = t.events.find((event) => event.type === "takeover");
  expect(takeover).toMatchObject({
    snapshot: { id: "fake@cpu#2", state: "ready" },
    conversations: t.snapshot().savedConversations,
  });
  for (const talk of talks) expect(await cachedOf(t, `${talk} and more`, "fake@cpu#2")).toBe(100);
  // The first one is given what it had all the same.
  await up(t);
  expect(await cachedOf(t, `${talks[3]} and more`)).toBe(100);
  expect(t.warnings).toEqual([]);
});

test("a stock engine keeps what is in its slots, and nobody takes anything over", async () => {
  await using t = await start(fakeEngine());
  await up(t);
  await up(t, "fake@cpu#2");
  for (const talk of talks) await cachedOf(t, talk);
  await down(t, "evicted");
  expect(await saved()).toHaveLength(2);
  await up(t);
  for (const [index, talk] of talks.entries()) if (index > 1) expect(await cachedOf(t, `${talk} and more`)).toBe(100);
  expect(t.events.filter((event) => event.type === "takeover")).toEqual([]);
  expect(t.warnings).toEqual([]);
});
