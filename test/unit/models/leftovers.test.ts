import { mkdir, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { findLeftovers, removeLeftover, sweepStale } from "../../../src/models/leftovers.ts";
import { lockPull } from "../../../src/models/pull/lock.ts";
import { weightsFile, writeManifest } from "../../../src/models/store.ts";
import { ggufLike, type TestStore, testStore } from "../../support/store.ts";

let store: TestStore;
beforeEach(async () => {
  store = await testStore();
  await writeFile(join(store.dir, "whole.gguf"), ggufLike(40));
  await writeManifest(store.models, manifest("whole"));
  await writeFile(join(store.dir, ".half.partial"), "GGUF");
  await writeFile(join(store.dir, ".half.partial.json"), "{}");
  await mkdir(join(store.dir, ".several.parts"));
  await writeFile(join(store.dir, ".several.parts/a.gguf.partial"), "GGUF");
  await writeManifest(store.models, manifest("gone"));
});
afterEach(() => store[Symbol.asyncDispose]());

const manifest = (name: string) => ({
  name,
  reference: name,
  source: "test",
  bytes: 40,
  sha256: "0".repeat(64),
  licence: null,
  pulledAt: "2026-01-01T00:00:00.000Z",
});
const names = async () => (await findLeftovers(store.models)).map(({ name, kind, bytes }) => [name, kind, bytes]);

it("unfinished downloads and manifests without models are left over, and whole models are not", async () => {
  expect(await names()).toEqual([
    ["gone", "manifest", expect.any(Number)],
    ["half", "download", 6],
    ["several", "download", 4],
  ]);
  for (const leftover of await findLeftovers(store.models)) await removeLeftover(store.models, leftover);
  expect(await store.files()).toEqual(["whole.gguf", "whole.json"]);
});

it("a pull that runs is left alone", async () => {
  const signal = new AbortController().signal;
  await using _lock = await lockPull(weightsFile(store.dir, "half"), join(store.dir, ".half.lock"), signal, () => {});
  expect((await names()).map(([name]) => name)).toEqual(["gone", "several"]);
});

it("downloads that nobody went on with for two weeks are swept", async () => {
  const now = Date.now();
  const old = (now - 15 * 86_400_000) / 1000;
  for (const file of [".half.partial", ".half.partial.json"]) await utimes(join(store.dir, file), old, old);
  await sweepStale(store.models, now);
  expect((await names()).map(([name]) => name)).toEqual(["gone", "several"]);
});
