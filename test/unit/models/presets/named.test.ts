import { expect, it } from "vitest";
import type { AssistantError } from "../../../../src/core/errors.ts";
import { mayBePreset, pullOrder } from "../../../../src/models/presets/named.ts";
import { Presets } from "../../../../src/models/presets/preset.ts";

const local = {
  kind: "local",
  name: "seven",
  file: null,
  repo: "ORG/seven-GGUF",
  filename: "seven-Q4_K_M.gguf",
  licence: null,
  contextLength: null,
  sizeB: 7,
  vramMib: {},
  modelPath: null,
  contextWindow: null,
  gpuLayers: null,
} as const;
const presets = new Presets(
  [
    local,
    { ...local, name: "any", filename: null },
    {
      kind: "cloud",
      name: "far",
      file: null,
      provider: "openai",
      apiKeyVariable: "KEY",
      modelName: "x",
      apiKey: null,
      baseUrl: null,
      timeoutS: null,
      maxRetries: null,
    },
  ],
  [],
);

it.each([
  ["seven", { reference: "hf:ORG/seven-GGUF/seven-Q4_K_M.gguf", name: "seven" }],
  ["SEVEN:latest", { reference: "hf:ORG/seven-GGUF/seven-Q4_K_M.gguf", name: "seven" }],
  ["seven:q8_0", { reference: "hf:ORG/seven-GGUF:Q8_0", name: "seven-q8_0" }],
  ["any", { reference: "hf:ORG/seven-GGUF", name: "any" }],
  ["smollm2", { reference: "smollm2", name: null }],
  ["hf:A/b/c.gguf", { reference: "hf:A/b/c.gguf", name: null }],
  ["A/b:Q4_1", { reference: "A/b:Q4_1", name: null }],
  ["./x.gguf", { reference: "./x.gguf", name: null }],
  ["x.gguf", { reference: "x.gguf", name: null }],
  ["https://example.com/x.gguf", { reference: "https://example.com/x.gguf", name: null }],
])("%s is pulled as what it names", (written, expected) => {
  expect(pullOrder(written, presets)).toEqual(expected);
});

const thrownBy = (written: string): AssistantError => {
  try {
    pullOrder(written, presets);
  } catch (error) {
    return error as AssistantError;
  }
  throw new Error("nothing was thrown");
};

it("a name that nothing has is refused with the nearest", () => {
  expect(thrownBy("sevn")).toMatchObject({ code: "unknown_source", remedy: expect.stringContaining("seven") });
});

it("a model of a service has nothing to pull", () => {
  expect(thrownBy("far")).toMatchObject({ code: "usage" });
});

it("presets need not be read for what cannot be one", () => {
  expect(["smollm2", "smollm2:latest", "hf:A/b", "A/b", "./x", "x.gguf"].filter(mayBePreset)).toEqual([]);
});
