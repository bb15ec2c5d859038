import { expect, test } from "vitest";
import { type KnownWeights, offeredBy, offeredByWeights } from "../../../src/models/capabilities.ts";
import { testModel } from "../../support/fake-engine.ts";

const features = { tools: true, reasoning: false, infill: false, vision: false, audio: false };
const weights: KnownWeights = { architecture: "llama", capabilities: { type: "chat", ...features } };
const chat = { type: "chat", chat: true, completion: true };

test("kind and weights together", () => {
  expect(offeredBy(testModel(), weights)).toEqual({ ...chat, ...features });
});

test("the model's file has the last word", () => {
  const model = testModel({ capabilities: { ...chat, tools: false, gpus: 2 } });
  expect(offeredBy(model, weights)).toMatchObject({ tools: false, gpus: 2, type: "chat" });
});

test("with a built-in template the file's own does not count", () => {
  expect(offeredBy(testModel({}, { chatTemplate: "chatml" }), weights)["tools"]).toBe(false);
  expect(offeredBy(testModel({}, { chatTemplate: "llama3" }), weights)).not.toHaveProperty("tools");
});

test("of weights that are elsewhere, or that another program runs, nothing is guessed", () => {
  expect(offeredBy(testModel(), null)).toEqual(chat);
  expect(offeredBy(testModel(), { ...weights, architecture: null })).toEqual(chat);
  expect(offeredBy(testModel({ command: {} as never }), weights)).toEqual(chat);
});

test("an embedding model has no features, whatever its file's template is", () => {
  expect(offeredBy(testModel({ kind: "embedding" }), weights)).toEqual({ type: "embedding", embedding: true });
});

test("weights that no file configures offer what their type answers; what is no model of its own answers nothing", () => {
  expect(offeredByWeights({ type: "chat", ...features })).toEqual({ ...chat, ...features });
  expect(offeredByWeights({ type: "projector", vision: true })).toEqual({ type: "projector", vision: true });
});
