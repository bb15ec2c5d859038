import { expect, test } from "vitest";
import { offers } from "../../../src/core/capabilities.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { adapterPart } from "../../../src/inference/adapters.ts";
import { type ModelDirectory, requireFeatures, requireSlot, resolveModel } from "../../../src/inference/resolve.ts";
import { chatCall } from "../../support/calls.ts";
import { testModel } from "../../support/fake-engine.ts";

const chat = { type: "chat", chat: true, completion: true };
const models = [
  testModel({ name: "river", capabilities: { ...chat, tools: false, vision: false } }),
  testModel({ name: "hands", capabilities: { ...chat, tools: true, vision: false } }),
  testModel({ name: "eyes", capabilities: { ...chat, vision: true } }),
  testModel({ name: "vectors", kind: "embedding" }),
];
const [river, hands, eyes] = models as [(typeof models)[0], (typeof models)[0], (typeof models)[0]];
const directory: ModelDirectory = {
  find: (name) => models.find((model) => model.name === name),
  all: () => models,
  createdAt: () => 0,
};

function call(fields: object, changes: Parameters<typeof chatCall>[0] = {}) {
  const json = { messages: [{ role: "user", content: "Hi" }], ...fields };
  return chatCall({ body: { bytes: Buffer.alloc(0), json }, prompt: { messages: json.messages }, ...changes });
}
const tools = { tools: [{ type: "function", function: { name: "f" } }] };
const image = { messages: [{ role: "user", content: [{ type: "image_url", image_url: { url: "data:" } }] }] };

function refusal(run: () => unknown): AssistantError {
  try {
    run();
  } catch (error) {
    if (error instanceof AssistantError) return error;
  }
  throw new Error("was not refused");
}

test.each([
  ["tools", tools, "tools", /does not call tools.* It offers chat, completion\. For this, use "hands"\./],
  ["an image", image, "messages", /does not take images\. .*use "eyes"\./],
])("%s for a model that has no use for it: 400 with what it can do, and who can", (_, fields, param, message) => {
  const error = refusal(() => requireFeatures(directory, river, call(fields)));
  expect([error.code, error.status, error.param]).toEqual(["unsupported_capability", 400, param]);
  expect(error.message).toMatch(message);
});

test("a model that has it, or of which it is not known, is asked", () => {
  requireFeatures(directory, hands, call(tools));
  requireFeatures(directory, eyes, call({ ...tools, ...image }));
  requireFeatures(directory, river, call({ ...tools, tool_choice: "none" }));
});

test("only models that the caller may use are named", () => {
  const caller = { tenant: "ada", models: ["river"] };
  const error = refusal(() => requireFeatures(directory, river, call(tools, { caller })));
  expect(error.message).toContain("No configured model is known to.");
  expect(error.message).not.toContain("hands");
});

test("an operation that a model does not answer: 400 with what it offers", () => {
  const error = refusal(() => resolveModel(directory, call({}, { selector: { model: "vectors", among: null } })));
  expect(error.code).toBe("wrong_model_kind");
  expect(error.message).toContain("It offers embedding.");
});

test("what a model offers is in order of the alphabet, without what it lacks", () => {
  expect(offers({ ...chat, tools: true, vision: false, gpus: 2 })).toBe("It offers chat, completion, tools.");
});

const adapted = testModel(
  { name: "adapted" },
  {
    llama: {
      ...river.load.llama,
      lora: [
        { path: "/a.gguf", scale: 1 },
        { path: "/b.gguf", scale: 0 },
      ],
    },
  },
);
const lora = (...scales: readonly (readonly [number, number])[]) =>
  call({ lora: scales.map(([id, scale]) => ({ id, scale })) });

test("adapters that a request chooses divide what is cached, unless they are those of the file", () => {
  expect(adapterPart(call({}), adapted)).toBeNull();
  expect(adapterPart(lora([0, 1]), adapted)).toBeNull();
  expect(adapterPart(lora([1, 0], [0, 1]), adapted)).toBeNull();
  expect(adapterPart(lora([0, 0.5]), adapted)).toBe("lora 0=0.5");
  expect(adapterPart(lora([1, 0.5], [0, 1]), adapted)).toBe(adapterPart(lora([0, 1], [1, 0.5]), adapted));
  expect(adapterPart(lora([0, 0]), adapted)).not.toBeNull();
});

test("an adapter that the model does not have is refused", () => {
  expect(refusal(() => adapterPart(lora([2, 1]), adapted)).message).toContain('"adapted" has 0 to 1');
  expect(refusal(() => adapterPart(lora([0, 1]), river)).message).toContain('"river" has none');
});

test("a slot that no instance has is refused, before an engine waits for it", () => {
  const { slots } = river.load;
  for (const id_slot of [-1, 0, slots - 1, null]) requireSlot(river, call({ id_slot }));
  for (const id_slot of [slots, 2 ** 31 - 1]) {
    const { code, param, message } = refusal(() => requireSlot(river, call({ id_slot })));
    expect([code, param]).toEqual(["invalid_request", "id_slot"]);
    expect(message).toContain(`from 0 to ${slots - 1}`);
  }
});
