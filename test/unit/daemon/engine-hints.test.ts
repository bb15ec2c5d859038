import { expect, test } from "vitest";
import type { EngineId } from "../../../src/core/model.ts";
import { engineHints } from "../../../src/daemon/engine-hints.ts";
import type { EngineSet } from "../../../src/engines/index.ts";
import { fakeInstance } from "../../fakes/status.ts";
import { testModel } from "../../support/fake-engine.ts";

const engines = (id: EngineId, hint: string | null): EngineSet =>
  ({ choose: async () => ({ id }), hint: async () => hint }) as unknown as EngineSet;
const instance = (model: string, engine: EngineId, pid: number | null = 1) =>
  fakeInstance({ model, engine, pid }) as unknown as Parameters<typeof engineHints>[1][number];
const models = [testModel({ name: "river", engine: "auto" }), testModel({ name: "lake", engine: "node-llama-cpp" })];
const current = (set: EngineSet, keptFromGpus: string[] = []) => ({ engines: set, models, keptFromGpus });

test("what an engine set advises is passed on", async () => {
  expect(await engineHints(current(engines("node-llama-cpp", "Build it.")), [])).toEqual(["Build it."]);
});

test("models that still run on the engine of before are named, those whose file names it are not", async () => {
  const running = [instance("river", "node-llama-cpp"), instance("lake", "node-llama-cpp")];
  expect(await engineHints(current(engines("llama-server", null)), running)).toEqual([
    "The engine llama-server is used now; river runs on it from the next start (`assistant restart MODEL`).",
  ]);
});

test("nothing is said where all run on it, or do not run", async () => {
  const others = [instance("river", "llama-server"), instance("river", "node-llama-cpp", null)];
  expect(await engineHints(current(engines("llama-server", null)), others)).toEqual([]);
});

test("models that run on the CPU beside a GPU, since their engine cannot use it, are named", async () => {
  expect(await engineHints(current(engines("node-llama-cpp", "It is being built."), ["river"]), [])).toEqual([
    expect.stringMatching(/^No GPU is used for river: .*`assistant engine build`/u),
    "It is being built.",
  ]);
});
