import { copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createEngineProbe } from "../../src/engines/index.ts";
import { embeddingModelFile, quickChatModelFile } from "../support/model-files.ts";
import { EngineProcess, longPrompt, until } from "./engine-process.ts";

const { saveSlot, restoreSlot, saveCached, loadCached } = createEngineProbe();
if (!saveSlot || !restoreSlot || !saveCached || !loadCached) throw new Error("the probe knows no slots");
const soon = (): AbortSignal => AbortSignal.timeout(60_000);

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "prompt-cache-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const start = async (hostCacheMib = 64, slotDir = folder): Promise<EngineProcess> =>
  EngineProcess.start("llama-server", await quickChatModelFile(), { load: { slots: 1, hostCacheMib }, slotDir });

const topics = ["rivers", "mountains", "bridges"] as const;
/** Every token of a prompt costs some milliseconds of a core. */
const WORDS = 40;
const talk = (topic: string): string => `All about ${topic}: ${longPrompt(WORDS + topic.length)}`;

/** Asks one token, and returns how many of the prompt's were known. */
async function cachedOf(engine: EngineProcess, prompt: string): Promise<{ cached: number; text: string }> {
  const { status, body } = await engine.post("/v1/completions", { prompt, max_tokens: 4, temperature: 0 });
  expect(status).toBe(200);
  return { cached: body.timings.cache_n, text: body.choices[0].text };
}

test("prompts of the host cache are saved, newest first and without what a slot holds, and go on in another engine", async () => {
  const files: string[] = [];
  const texts = new Map<string, string>();
  {
    await using first = await start();
    for (const topic of topics) texts.set(topic, (await cachedOf(first, talk(topic))).text);
    for (let index = 0; ; index++) {
      const saved = await saveCached(first.socketPath, index, `${index}.slot`, soon());
      if (saved === null) break;
      expect(saved.tokens).toBeGreaterThan(WORDS);
      files.push(`${index}.slot`);
    }
    // The last one is in the only slot.
    expect(files).toHaveLength(2);
    await saveSlot(first.socketPath, 0, "2.slot", soon());
  }
  await using second = await start();
  // From a slot into the cache, and from the cache into a slot: the files are the same.
  expect(await loadCached(second.socketPath, "2.slot", soon())).toBeGreaterThan(WORDS);
  expect(await restoreSlot(second.socketPath, 0, "0.slot", soon())).toBeGreaterThan(WORDS);
  expect(await loadCached(second.socketPath, "1.slot", soon())).toBeGreaterThan(WORDS);
  for (const topic of ["rivers", "bridges", "mountains"]) {
    const answer = await cachedOf(second, `${talk(topic)}${texts.get(topic)} and so on`);
    expect(answer.cached, topic).toBeGreaterThan(WORDS);
  }
  // The state is the same: what follows is what would have followed.
  await using third = await start(0);
  const further = `${talk("rivers")}${texts.get("rivers")} and`;
  expect((await cachedOf(second, further)).text).toBe((await cachedOf(third, further)).text);
});

test("a loaded prompt never displaces another, and what is held already is no second time", async () => {
  await using first = await start();
  for (const topic of topics) await cachedOf(first, talk(topic));
  await saveCached(first.socketPath, 0, "a.slot", soon());
  await saveCached(first.socketPath, 1, "b.slot", soon());
  await saveSlot(first.socketPath, 0, "c.slot", soon());
  for (const file of ["a.slot", "b.slot", "c.slot"])
    expect(await loadCached(first.socketPath, file, soon())).toBeGreaterThan(WORDS);
  expect(await saveCached(first.socketPath, 2, "none.slot", soon())).toBeNull();
  // More than a MiB each: one fits.
  await using small = await start(2);
  expect(await loadCached(small.socketPath, "a.slot", soon())).toBeGreaterThan(WORDS);
  expect(await loadCached(small.socketPath, "b.slot", soon())).toBeNull();
  expect((await cachedOf(small, talk("mountains"))).cached).toBeGreaterThan(WORDS);
});

describe("one engine", () => {
  let engine: EngineProcess;
  let slots: string;
  beforeAll(async () => {
    slots = await mkdtemp(join(tmpdir(), "prompt-cache-"));
    engine = await start(64, slots);
  });
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]();
    await rm(slots, { recursive: true, force: true });
  });

  test("conversations with the same long beginning keep their own ends, long or short, more of them than slots", async () => {
    const beginning = longPrompt(120);
    const ends = topics.map((topic, place) => {
      const words = Array.from({ length: place === 0 ? 24 : 8 }, (_, index) => `${topic} ${index}`);
      return `${beginning} ${topic}: ${words.join(" ")}`;
    });
    const lengths: number[] = [];
    for (const prompt of ends) {
      const { status, body } = await engine.post("/v1/completions", { prompt, max_tokens: 1, temperature: 0 });
      expect(status).toBe(200);
      lengths.push(body.usage.prompt_tokens);
    }
    // Twice, as the first time could have used up what was kept.
    for (let turn = 0; turn < 2; turn++) {
      for (const [index, prompt] of ends.entries())
        expect((await cachedOf(engine, `${prompt} and`)).cached).toBeGreaterThanOrEqual(
          (lengths[index] ?? Infinity) - 1,
        );
    }
  });

  test("a request that names a busy slot waits, and spoils nothing", async () => {
    // What follows names the topic again and again: a state of the other one would be seen.
    const facts = (topic: string): string =>
      Array.from({ length: 10 }, (_, index) => `Fact ${index} about ${topic} is well known.`).join(" ");
    const ask = (topic: string, tokens: number) => ({
      prompt: facts(topic),
      max_tokens: tokens,
      temperature: 0,
      ignore_eos: true,
      id_slot: 0,
    });
    const alone = (await engine.post("/v1/completions", ask("rivers", 30))).body.choices[0].text;
    await cachedOf(engine, facts("mountains"));
    const running = engine.post("/v1/completions", ask("rivers", 30));
    await until(async () => (await engine.slots()).some((slot) => slot.busy && slot.tokensDecoded > 2), 30_000);
    const second = await engine.post("/v1/completions", ask("mountains", 1));
    expect(second.status).toBe(200);
    expect((await running).body.choices[0].text).toBe(alone);
  });

  test("a file that is damaged, missing or of another model is refused, and the engine lives on", async () => {
    for (const topic of topics) await cachedOf(engine, talk(topic));
    await saveSlot(engine.socketPath, 0, "good.slot", soon());
    await writeFile(join(slots, "empty.slot"), "");
    await writeFile(join(slots, "text.slot"), "no state at all");
    await copyFile((await embeddingModelFile()).model, join(slots, "weights.slot"));
    for (const file of ["empty.slot", "text.slot", "weights.slot", "missing.slot", "../good.slot"]) {
      await expect(loadCached(engine.socketPath, file, soon()), file).rejects.toThrow(/cache-load with status 400/u);
    }
    await expect(saveCached(engine.socketPath, 0, "../outside.slot", soon())).rejects.toThrow(/status 400/u);
    expect((await cachedOf(engine, talk("rivers"))).cached).toBeGreaterThan(WORDS);
  });
});

test("without a host cache nothing is saved or loaded", async () => {
  await using engine = await start(0);
  await cachedOf(engine, talk("rivers"));
  await saveSlot(engine.socketPath, 0, "a.slot", soon());
  expect(await saveCached(engine.socketPath, 0, "b.slot", soon())).toBeNull();
  expect(await loadCached(engine.socketPath, "a.slot", soon())).toBeNull();
});

test("a state that is cut short is computed anew", async () => {
  const file = join(folder, "cut.slot");
  await using engine = await start();
  await cachedOf(engine, talk("rivers"));
  await saveSlot(engine.socketPath, 0, "cut.slot", soon());
  await using other = await start();
  const { truncate, stat } = await import("node:fs/promises");
  await truncate(file, Math.floor((await stat(file)).size / 2));
  expect(await loadCached(other.socketPath, "cut.slot", soon())).toBeGreaterThan(WORDS);
  expect((await cachedOf(other, talk("rivers"))).cached).toBe(0);
  await cachedOf(other, talk("mountains"));
  expect((await cachedOf(other, talk("rivers"))).cached).toBeGreaterThan(WORDS);
});
