import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { createEngineProbe } from "../../src/engines/index.ts";
import { quickChatModelFile } from "../support/model-files.ts";
import { bothEngines, EngineProcess, longPrompt } from "./engine-process.ts";

const { saveSlot, restoreSlot, saveCached, loadCached } = createEngineProbe();
if (!saveSlot || !restoreSlot || !saveCached || !loadCached) throw new Error("the probe knows no slots");
const soon = (): AbortSignal => AbortSignal.timeout(60_000);

let folder = "";
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "cache-scopes-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

/** Asks one token under a scope ("": none), and returns how many of the prompt's tokens were known. */
async function cachedOf(engine: EngineProcess, scope: string, prompt: string, more: object = {}): Promise<number> {
  const headers = scope === "" ? {} : { "X-Cache-Scope": scope };
  const { status, body } = await engine.post(
    "/v1/completions",
    { prompt, max_tokens: 1, temperature: 0, ...more },
    headers,
  );
  expect(status).toBe(200);
  return body.timings.cache_n;
}

/** Every token of a prompt costs some milliseconds of a core. */
const WORDS = 30;
const prompt = `All about rivers: ${longPrompt(WORDS)}`;
/** Has no beginning in common with the other. */
const elsewhere = `Mountains and caves: ${longPrompt(WORDS)}`;

describe.each(bothEngines)("%s", (id) => {
  test("a prompt finds in the slots what its own scope has left, and nothing of another's or of nobody's", async () => {
    await using engine = await EngineProcess.start(id, await quickChatModelFile(), { load: { slots: 3 } });
    for (const scope of ["ada", "bob", ""]) expect(await cachedOf(engine, scope, prompt), scope).toBe(0);
    for (const scope of ["ada", "bob", ""])
      expect(await cachedOf(engine, scope, `${prompt} and so on`), scope).toBeGreaterThan(WORDS);
  });

  describe("in the only slot", () => {
    let engine: EngineProcess;
    beforeAll(async () => {
      engine = await EngineProcess.start(id, await quickChatModelFile(), { load: { slots: 1 } });
    });
    afterAll(() => engine?.[Symbol.asyncDispose]());

    test("one scope's prompt is computed anew after another's", async () => {
      for (const scope of ["ada", "bob", "ada", ""]) expect(await cachedOf(engine, scope, prompt), scope).toBe(0);
      expect(await cachedOf(engine, "", prompt)).toBeGreaterThan(WORDS);
    });

    test("the answer does not depend on what another scope has left", async () => {
      const texts: string[] = [];
      for (const scope of ["ada", "ada", "bob", "ada"]) {
        const { body } = await engine.post(
          "/v1/completions",
          { prompt: elsewhere, max_tokens: 8, temperature: 0 },
          { "X-Cache-Scope": scope },
        );
        texts.push(body.choices[0].text);
      }
      expect(new Set(texts).size).toBe(1);
    });
  });
});

describe("llama-server", () => {
  const start = async (hostCacheMib = 64): Promise<EngineProcess> =>
    EngineProcess.start("llama-server", await quickChatModelFile(), {
      load: { slots: 1, hostCacheMib },
      slotDir: folder,
    });

  test("the host-memory cache gives each scope its own", async () => {
    await using engine = await start();
    for (const scope of ["ada", "bob", ""]) expect(await cachedOf(engine, scope, prompt), scope).toBe(0);
    for (const scope of ["ada", "bob", "", "ada"])
      expect(await cachedOf(engine, scope, `${prompt} and so on`), scope).toBeGreaterThan(WORDS);
    expect(await cachedOf(engine, "eve", prompt)).toBe(0);
  });

  test("a slot that a request names gives it nothing of another scope", async () => {
    await using engine = await start(0);
    expect(await cachedOf(engine, "ada", prompt, { id_slot: 0 })).toBe(0);
    expect(await cachedOf(engine, "bob", prompt, { id_slot: 0, n_cache_reuse: 16 })).toBe(0);
  });

  test("what was saved comes back under its own scope, from slots as from the host-memory cache", async () => {
    {
      await using first = await start();
      await cachedOf(first, "ada", prompt);
      await cachedOf(first, "bob", prompt);
      await saveSlot(first.socketPath, 0, "bob.slot", soon());
      expect((await saveCached(first.socketPath, 0, "ada.slot", soon()))?.tokens).toBeGreaterThan(WORDS);
    }
    await using second = await start();
    expect(await restoreSlot(second.socketPath, 0, "ada.slot", soon())).toBeGreaterThan(WORDS);
    expect(await loadCached(second.socketPath, "bob.slot", soon())).toBeGreaterThan(WORDS);
    for (const scope of ["eve", ""]) expect(await cachedOf(second, scope, prompt), scope).toBe(0);
    for (const scope of ["ada", "bob"])
      expect(await cachedOf(second, scope, `${prompt} and so on`), scope).toBeGreaterThan(WORDS);
  });
});
