import { describe, expect, it } from "vitest";
import { type CapabilityFacts, capabilitiesOf, withProjector } from "../../../src/models/capabilities.ts";

const bare: CapabilityFacts = {
  architecture: "llama",
  fileType: "model",
  chatTemplate: null,
  pooling: null,
  causal: null,
  hasInfillTokens: false,
  encodesImages: null,
  encodesAudio: null,
};
const chat = { type: "chat", tools: false, reasoning: false, infill: false, vision: false, audio: false };
const typeOf = (facts: Partial<CapabilityFacts>) => capabilitiesOf({ ...bare, ...facts })["type"];

describe("the type", () => {
  it.each([
    ["chat", {}],
    ["chat", { chatTemplate: "x" }],
    ["embedding", { architecture: "bert", causal: false }],
    ["embedding", { architecture: "nomic-bert", pooling: "mean" as const }],
    // Qwen3-Embedding keeps the template of the chat model it comes from.
    ["embedding", { architecture: "qwen3", pooling: "last" as const, chatTemplate: "x" }],
    ["rerank", { architecture: "bert", pooling: "rank" as const }],
    // A diffusion language model such as LLaDA.
    ["chat", { architecture: "llada", causal: false, chatTemplate: "x" }],
    ["adapter", { fileType: "adapter" }],
    ["projector", { architecture: "clip", fileType: null }],
    ["image", { architecture: "sdxl" }],
  ])("is %s for %j", (type, facts) => {
    expect(typeOf(facts)).toBe(type);
  });
});

describe("a chat template", () => {
  it.each([
    ["{%- if tools %}…{% endif %}", { tools: true }],
    ["{{ tools | tojson }}", { tools: true }],
    ["You have no tools. {{ messages[0].content }}", { tools: false }],
    ["{% if enable_thinking is defined %}", { reasoning: true }],
    ["<|channel|>analysis", { reasoning: true }],
    ["{% for message in messages %}{{ message.content }}{% endfor %}", { tools: false, reasoning: false }],
  ])("%s shows %j", (chatTemplate, shown) => {
    expect(capabilitiesOf({ ...bare, chatTemplate })).toEqual({ ...chat, ...shown });
  });
});

it("a projector gives a chat model eyes and ears, and an embedding model nothing", () => {
  const projector = (facts: Partial<CapabilityFacts>) => capabilitiesOf({ ...bare, architecture: "clip", ...facts });
  const model = capabilitiesOf(bare);
  // Before audio came, projectors did not say that they encode images.
  expect(withProjector(model, projector({}))).toEqual({ ...chat, vision: true });
  expect(withProjector(model, projector({ encodesAudio: true }))).toEqual({ ...chat, audio: true });
  expect(withProjector(model, null)).toEqual(chat);
  expect(withProjector({ type: "embedding" }, projector({}))).toEqual({ type: "embedding" });
});
