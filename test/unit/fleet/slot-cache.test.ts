import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EngineProbe } from "../../../src/core/probe.ts";
import { SlotCache, type SlotPlace } from "../../../src/fleet/slot-cache.ts";
import { testDevice, testModel } from "../../support/fake-engine.ts";
import { emptyGguf } from "../../support/gguf-writer.ts";

let dir = "";
let budget = 10_000;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "slot-cache-"));
  budget = 10_000;
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** An engine whose slots hold a byte for each token. `endpoint` stands for the folder it was started with. */
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
  /**
   * What its host cache holds, newest first, and how many prompts more it would take; null: it has no such cache, as a
   * stock engine.
   */
  cached: string[] = [];
  room: number | null = 100;
  saveCached: NonNullable<EngineProbe["saveCached"]> = async (folder, index, file) => {
    const text = this.cached[index];
    if (text === undefined || this.room === null) return null;
    await writeFile(join(folder, file), text.padEnd(100, "."));
    return { tokens: text === "short" ? 5 : 100, bytes: 100 };
  };
  loadCached: NonNullable<EngineProbe["loadCached"]> = async (folder, file) => {
    const text = (await readFile(join(folder, file), "utf8")).replaceAll(".", "");
    if (this.room === null || this.room === 0) return null;
    if (text === "damaged") throw new Error("not a sequence state file");
    this.room -= 1;
    this.cached.push(text);
    return 100;
  };
}

function setUp() {
  const engine = new Engine();
  const log = { info: () => {}, warn: () => {} };
  const cache = new SlotCache({ directory: join(dir, "slots"), budgetBytes: () => budget, probe: engine, log });
  const place = async (name: string, fingerprint = "one", version = "1", slots = 2): Promise<SlotPlace> => {
    await writeFile(join(dir, `${name}.gguf`), emptyGguf);
    const order = {
      instanceId: `${name}@cpu`,
      model: testModel({ name, fingerprint }, { slots }),
      device: testDevice(),
      threads: 1,
    };
    const available = {
      available: true,
      path: process.execPath,
      version,
      backends: ["cpu"],
      noticesDisconnects: true,
      separatesCaches: false,
    } as const;
    const found = await cache.place(order, join(dir, `${name}.gguf`), available);
    if (found === null) throw new Error("there is no place");
    return found;
  };
  const save = async (at: SlotPlace): Promise<readonly string[]> =>
    cache.save(at, at.directory, AbortSignal.timeout(5_000));
  const restore = async (at: SlotPlace): Promise<readonly string[]> =>
    cache.restore(at, at.directory, AbortSignal.timeout(5_000));
  const files = async (name: string): Promise<string[]> => (await readdir(join(dir, "slots", name))).sort();
  return { engine, cache, place, save, restore, files };
}

/** The place of another instance of the same model. */
const another = (place: SlotPlace): SlotPlace => ({ ...place, copies: new Set() });

/** Makes a model's files older than those of the others. */
async function age(name: string): Promise<void> {
  for (const file of await readdir(join(dir, "slots", name))) await utimes(join(dir, "slots", name, file), 1, 1);
}

test("slots that are busy or hold next to nothing are not saved; one that does not tell what it holds is looked at", async () => {
  const { engine, place, save, files } = setUp();
  engine.holds = [
    { tokens: 500, task: 3, busy: true },
    { tokens: 5, task: 1 },
    { tokens: 500 },
    { tokens: 10 },
    { tokens: 500, task: 9 },
  ];
  await save(await place("a"));
  expect((await files("a")).map((file) => file.at(-"0.slot".length)).toSorted()).toEqual(["2", "4"]);
});

test("an instance gets the conversations used last, as many as it has slots, and the next instance the others", async () => {
  const { engine, place, save, restore, files } = setUp();
  engine.room = null;
  const at = await place("a");
  engine.holds = ["third", "first", "second"].map((text, index) => ({
    tokens: 100,
    task: [9, 3, 5][index] ?? 0,
    text,
  }));
  const saved = await save(at);
  expect(await restore(at)).toEqual(saved.slice(0, 2));
  expect(engine.restored).toEqual(["third", "second"]);
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

test("what is in the host cache is saved after the slots; whoever starts gets its slots full, and copies of the others", async () => {
  const { engine, place, save, restore, files } = setUp();
  const at = await place("a");
  engine.holds = [
    { tokens: 100, task: 1, text: "slot old" },
    { tokens: 100, task: 2, text: "slot new" },
  ];
  engine.cached = ["cache new", "short", "cache mid", "cache old"];
  const saved = await save(at);
  expect(saved).toHaveLength(5);
  engine.cached = [];
  engine.room = 2;
  const started = another(at);
  expect(await restore(started)).toEqual(saved.slice(0, 4));
  expect(engine.restored).toEqual(["slot new", "slot old"]);
  expect(engine.cached).toEqual(["cache new", "cache mid"]);
  expect(await files("a")).toEqual(saved.slice(2).toSorted());
  // What it had copies of is of no use once it has saved it itself.
  engine.holds = [];
  const again = await save(started);
  expect(again).toHaveLength(2);
  expect(await files("a")).toEqual([...again, saved[4] ?? ""].toSorted());
});

test("running instances share what another one has left, each a part, and the next one that starts is given it all the same", async () => {
  const { engine, cache, place, save, restore } = setUp();
  engine.holds = [1, 2, 3, 4].map((task) => ({ tokens: 100, task, text: `talk ${task}` }));
  const left = await place("a");
  const saved = await save(left);
  const took: (readonly string[])[] = [];
  const successor = (at: SlotPlace) => ({
    place: at,
    endpoint: at.directory,
    signal: AbortSignal.timeout(5_000),
    took: (names: readonly string[]) => void took.push(names),
  });
  const successors = [another(left), another(left), { ...another(left), key: "other-settings" }].map(successor);
  await cache.share(left, successors);
  expect(took.toSorted()).toEqual(
    [saved.filter((_, index) => index % 2 === 0), saved.filter((_, index) => index % 2 === 1)].toSorted(),
  );
  expect(engine.cached.toSorted()).toEqual(["talk 1", "talk 2", "talk 3", "talk 4"]);
  engine.room = 100;
  expect(await restore(another(left))).toEqual(saved);
  // A second time they get nothing that they have, and nothing that has gone.
  took.length = 0;
  await cache.share(left, successors.slice(0, 1));
  expect(took.flat()).toEqual(saved.filter((_name, index) => index === 3));
});

test("of a host cache without room, or an engine without one, nothing is asked twice", async () => {
  const { engine, place, save, restore, files } = setUp();
  engine.holds = [1, 2, 3, 4].map((task) => ({ tokens: 100, task, text: `talk ${task}` }));
  const at = await place("a");
  const saved = await save(at);
  engine.room = null;
  let asked = 0;
  const load = engine.loadCached;
  engine.loadCached = async (...given) => {
    asked += 1;
    return load(...given);
  };
  expect(await restore(another(at))).toEqual(saved.slice(0, 2));
  expect(asked).toBe(1);
  expect(await files("a")).toHaveLength(2);
});

test("over the budget what was used last is saved, and the host cache is left alone", async () => {
  const { engine, place, save, files } = setUp();
  budget = 250;
  engine.holds = [1, 2, 3].map((task) => ({ tokens: 100, task, text: `talk ${task}` }));
  engine.cached = ["cached"];
  const at = await place("a");
  at.copies.add("a copy that is still needed");
  const saved = await save(at);
  expect(saved).toHaveLength(2);
  expect(
    await Promise.all(saved.map(async (name) => (await readFile(join(at.directory, name), "utf8")).slice(0, 6))),
  ).toEqual(["talk 3", "talk 2"]);
  expect(await files("a")).toHaveLength(2);
});
