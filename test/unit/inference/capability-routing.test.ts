import { expect, test } from "vitest";
import { CapabilityIndex } from "../../../src/inference/capability-index.ts";
import { InferenceCore } from "../../../src/inference/core.ts";
import { type ModelDirectory, resolveModel, resolveModels } from "../../../src/inference/resolve.ts";
import { chatCall, RecordingSink } from "../../support/calls.ts";
import { StubDispatcher } from "../../support/dispatcher.ts";
import { testModel } from "../../support/fake-engine.ts";

const small = testModel({ name: "small", capabilities: { type: "chat", gpus: 1, language: "de" } });
const large = testModel({ name: "large", capabilities: { type: "chat", gpus: 2, vision: true } });
const vectors = testModel({ name: "vectors", kind: "embedding", capabilities: { type: "embedding", gpus: 2 } });
const models = [small, large, vectors];
const directory: ModelDirectory = {
  find: (name) => models.find((model) => model.name === name),
  all: () => models,
  createdAt: () => 0,
};

const asking = (capabilities: Record<string, string>, model = "") =>
  chatCall({ selector: { model, among: null, capabilities } });
const resolved = (capabilities: Record<string, string>, model?: string) =>
  resolveModel(directory, asking(capabilities, model)).name;

test.each([
  [{ gpus: "2", type: "chat" }, "large"],
  [{ vision: "true" }, "large"],
  [{ language: "de" }, "small"],
])("%j is a model that offers all of it, with values compared by their text", (query, name) => {
  expect(resolved(query)).toBe(name);
});

test("a model that is named too must offer it", () => {
  expect(resolved({ type: "chat" }, "small")).toBe("small");
  expect(() => resolved({ gpus: "2" }, "small")).toThrow(
    expect.objectContaining({ code: "capability_not_found", message: '"small" does not offer gpus=2.' }),
  );
  expect(() => resolved({ gpus: "2" }, "smal")).toThrow(expect.objectContaining({ code: "model_not_found" }));
});

test("what nobody offers is refused with the nearest, and how they differ", () => {
  expect(() => resolved({ type: "chat", gpus: "4" })).toThrow(
    expect.objectContaining({
      code: "capability_not_found",
      status: 404,
      param: "capability",
      message: 'No model, worker or node offers type=chat, gpus=4. Nearest: "small" (gpus=1), "large" (gpus=2).',
    }),
  );
});

test("a key is told of no models but its own", () => {
  const call = { ...asking({ vision: "true", gpus: "9" }), caller: { tenant: "ada", models: ["small"] } };
  expect(() => resolveModel(directory, call)).toThrow(
    expect.objectContaining({ message: "No model, worker or node offers vision=true, gpus=9." }),
  );
});

test("those that match but do not answer the operation are refused by what they are", () => {
  expect(() => resolved({ type: "embedding" })).toThrow(expect.objectContaining({ code: "wrong_model_kind" }));
});

test("of several the one that is preferred comes first, and the others in its place", () => {
  const names = resolveModels(directory, asking({ type: "chat" }), (given) => [...given].reverse());
  expect(names.map(({ name }) => name)).toEqual(["large", "small"]);
});

test("a model whose workers differ is found by what one of them offers, not by what two of them do together", () => {
  const index = new CapabilityIndex([
    { model: small, capabilities: { gpus: 1, zone: "eu" } },
    { model: small, capabilities: { gpus: 2, zone: "us" } },
  ]);
  expect(index.find({ gpus: "2", zone: "us" }, () => true)).toEqual([small]);
  expect(index.find({ gpus: "2", zone: "eu" }, () => true)).toEqual([]);
});

test("of more models than are compared for a request all have their turn", () => {
  const many = Array.from({ length: 200 }, (_, index) => testModel({ name: `m${index}`, capabilities: { type: "x" } }));
  const index = new CapabilityIndex(many.map((model) => ({ model, capabilities: model.capabilities })));
  const seen = new Set<string>();
  for (let times = 0; times < 200; times += 1)
    for (const { name } of index.find({ type: "x" }, () => true)) seen.add(name);
  expect(index.find({ type: "x" }, () => true)).toHaveLength(64);
  expect(seen.size).toBe(200);
});

test("the scheduler gets the capabilities, so that nodes without them get no part of it", async () => {
  const dispatcher = new StubDispatcher("/nowhere");
  const log = { debug() {}, info() {}, warn() {}, error() {} };
  const core = new InferenceCore({
    dispatcher,
    directory,
    log,
    tenancy: () => ({ apiKeys: [], sharePrefixes: false }),
  });
  dispatcher.refuse = new Error("far enough");
  await core.run(asking({ vision: "true" }), new RecordingSink());
  expect(dispatcher.asked.map(({ model, capabilities }) => ({ model, capabilities }))).toEqual([
    { model: "large", capabilities: { vision: "true" } },
  ]);
});
