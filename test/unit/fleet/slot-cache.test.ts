import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EngineProbe } from "../../../src/core/probe.ts";
import { SlotCache, type SlotPlace } from "../../../src/fleet/slot-cache.ts";
import { testDevice, testModel } from "../../support/fake-engine.ts";

let dir = "";
let budget = 10_000;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "slot-cache-"));
  budget = 10_000;
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** An engine whose slots hold a byte for each token. `socketPath` stands for the folder it was started with. */
class Engine implements EngineProbe {
  readonly restored: string[] = [];
  holds: { readonly tokens: number; readonly task?: number; readonly busy?: boolean; readonly text?: string }[] = [];
  health = async () => "ready" as const;
  token = async () => {};
  async slots() {
    return this.holds.map(({ tokens, task, busy = false }, id) => ({
      ...{ id, busy, promptTokensDone: 0, tokensDecoded: 0 },
      ...(task === undefined ? {} : { task, cachedTokens: tokens }),
    }));
  }
  async saveSlot(folder: string, slot: number, file: string) {
    const { tokens = 0, text = "" } = this.holds[slot] ?? {};
    await writeFile(join(folder, file), text.padEnd(tokens, "."));
    return { tokens, bytes: tokens };
  }
  async restoreSlot(folder: string, slot: number, file: string) {
    const text = await readFile(join(folder, file), "utf8");
    if (text.startsWith("damaged")) throw new Error("invalid slot save file");
    this.restored[slot] = text.replaceAll(".", "");
    return text.length;
  }
}

function setUp() {
  const engine = new Engine();
  const log = { info: () => {}, warn: () => {} };
  const cache = new SlotCache({ directory: join(dir, "slots"), budgetBytes: () => budget, probe: engine, log });
  const place = async (name: string, fingerprint = "one", version = "1", slots = 2): Promise<SlotPlace> => {
    await writeFile(join(dir, `${name}.gguf`), "GGUF");
    const order = { instanceId: `${name}@cpu`, model: testModel({ name, fingerprint }, { slots }), device: testDevice(), threads: 1 };
    const available = { available: true, path: process.execPath, version, backends: ["cpu"], noticesDepartedClients: true } as const;
    const found = await cache.place(order, join(dir, `${name}.gguf`), available);
    if (found === null) throw new Error("there is no place");
    return found;
  };
  const save = async (at: SlotPlace): Promise<void> => cache.save(at, at.directory, AbortSignal.timeout(5_000));
  const restore = async (at: SlotPlace): Promise<number> => cache.restore(at, at.directory, AbortSignal.timeout(5_000));
  const files = async (name: string): Promise<string[]> => (await readdir(join(dir, "slots", name))).sort();
  return { engine, cache, place, save, restore, files };
}

/** Makes a model's files older than those of the others. */
async function age(name: string): Promise<void> {
  for (const file of await readdir(join(dir, "slots", name))) await utimes(join(dir, "slots", name, file), 1, 1);
}

test("slots that are busy or hold next to nothing are not saved; one that does not tell what it holds is looked at", async () => {
  const { engine, place, save, files } = setUp();
  engine.holds = [{ tokens: 500, task: 3, busy: true }, { tokens: 5, task: 1 }, { tokens: 500 }, { tokens: 10 }, { tokens: 500, task: 9 }];
  await save(await place("a"));
  expect((await files("a")).map((file) => file.at(-"0.slot".length))).toEqual(["2", "4"]);
});

test("an instance gets the conversations used last, as many as it has slots, and the next instance the others", async () => {
  const { engine, place, save, restore, files } = setUp();
  const at = await place("a");
  for (const text of ["first", "second", "third"]) {
    engine.holds = [{ tokens: 100, task: 1, text }];
    await save(at);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await utimes(join(at.directory, (await files("a"))[0] ?? ""), 1, 1);
  expect(await restore(at)).toBe(2);
  expect(engine.restored.toSorted()).toEqual(["second", "third"]);
  engine.restored.length = 0;
  await restore(at);
  expect(engine.restored).toEqual(["first"]);
  expect(await files("a")).toEqual([]);
});

test("instances that start at the same time never take the same conversation", async () => {
  const { engine, place, save, restore } = setUp();
  const at = await place("a", "one", "1", 1);
  engine.holds = [{ tokens: 100, task: 1, text: "only" }];
  await save(at);
  const taken: string[] = [];
  const take = engine.restoreSlot.bind(engine);
  engine.restoreSlot = async (folder, slot, file) => {
    taken.push(file);
    return take(folder, slot, file);
  };
  await Promise.all([restore(at), restore(at)]);
  expect(taken).toHaveLength(1);
});

test("what was saved with other settings is deleted, with another engine it is passed over", async () => {
  const { engine, place, save, restore, files } = setUp();
  engine.holds = [{ tokens: 100, task: 1, text: "mine" }];
  await save(await place("a", "one", "1"));
  await restore(await place("a", "one", "2"));
  expect(engine.restored).toEqual([]);
  expect(await files("a")).toHaveLength(1);
  await restore(await place("a", "two", "1"));
  expect(engine.restored).toEqual([]);
  expect(await files("a")).toEqual([]);
});

test("a file that cannot be read is deleted, and the others are restored", async () => {
  const { engine, place, save, restore, files } = setUp();
  const at = await place("a");
  engine.holds = [
    { tokens: 100, task: 1, text: "damaged" },
    { tokens: 100, task: 2, text: "whole" },
  ];
  await save(at);
  await restore(at);
  expect(engine.restored.filter((text) => text !== undefined)).toEqual(["whole"]);
  expect(await files("a")).toEqual([]);
});

test("over the budget the conversations unused for longest go, whosever they are", async () => {
  const { engine, place, save, files } = setUp();
  engine.holds = [{ tokens: 6_000, task: 1 }];
  await save(await place("a"));
  await age("a");
  await save(await place("b"));
  expect(await files("a")).toEqual([]);
  expect(await files("b")).toHaveLength(1);
});

test("with a budget of nothing no instance gets a place, and what lies there goes", async () => {
  const { engine, cache, place, save, files } = setUp();
  engine.holds = [{ tokens: 100, task: 1 }];
  await save(await place("a"));
  budget = 0;
  await expect(place("a")).rejects.toThrow("no place");
  await cache.keepOnly([{ name: "a" }]);
  expect(await files("a")).toEqual([]);
});

test("conversations of models that are configured no longer are deleted", async () => {
  const { engine, cache, place, save, files } = setUp();
  engine.holds = [{ tokens: 100, task: 1 }];
  await save(await place("a"));
  await save(await place("b"));
  await cache.keepOnly([{ name: "b" }]);
  expect(await readdir(join(dir, "slots"))).toEqual(["b"]);
  expect(await files("b")).toHaveLength(1);
});

test("what an aborted save left is never restored, and goes in time", async () => {
  const { engine, place, restore, files } = setUp();
  const at = await place("a");
  await mkdir(at.directory, { recursive: true });
  await writeFile(join(at.directory, `${at.key}-x-0.slot.part`), "half");
  await restore(at);
  expect(engine.restored).toEqual([]);
  expect(await files("a")).toHaveLength(1);
  await age("a");
  await restore(at);
  expect(await files("a")).toEqual([]);
});
