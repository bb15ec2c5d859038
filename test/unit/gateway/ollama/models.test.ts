import { describe, expect, test } from "vitest";
import { AssistantError } from "../../../../src/core/errors.ts";
import { fileOf, settingsOf } from "../../../../src/gateway/doors/ollama/create.ts";
import { capabilitiesOf, runningOf, tagOf } from "../../../../src/gateway/doors/ollama/describe.ts";
import { displayed, ownName, storeName } from "../../../../src/gateway/doors/ollama/names.ts";
import { pullOrderOf } from "../../../../src/gateway/doors/ollama/pull.ts";
import { NOT_HERE } from "../../../../src/registry/library.ts";
import { testModel } from "../../../support/fake-engine.ts";

describe("what is pulled", () => {
  const orderOf = async (reference: string) => {
    if (/^(smollm2|qwen3)/.test(reference)) return { reference: `preset of ${reference}`, name: "preset" };
    throw new AssistantError("unknown_source", "unknown");
  };
  test.each([
    ["smollm2", "preset of smollm2", "preset"],
    ["qwen3:Q8_0", "preset of qwen3:Q8_0", "preset"],
    ["qwen3:4b", "ollama:qwen3:4b", "qwen3-4b"],
    ["llama3.2", "ollama:llama3.2", "llama3.2"],
    ["llama3.2:latest", "ollama:llama3.2:latest", "llama3.2"],
    ["someone/model:tag", "ollama:someone/model:tag", "model-tag"],
    ["hf.co/ORG/REPO-GGUF:Q4_K_M", "hf.co/ORG/REPO-GGUF:Q4_K_M", "REPO-GGUF-Q4_K_M"],
    ["ollama:llama3.2:1b", "ollama:llama3.2:1b", "llama3.2-1b"],
    ["hf:ORG/REPO/file.gguf", "hf:ORG/REPO/file.gguf", null],
  ])("for %s is %s", async (written, reference, name) => {
    expect(await pullOrderOf(written, orderOf)).toEqual({ reference, name });
  });
});

describe("names in lists", () => {
  test.each([
    ["river", null, "river:latest"],
    ["mine:v2", null, "mine:v2"],
    ["llama3.2-1b", "ollama:llama3.2:1b", "llama3.2:1b"],
    ["renamed", "ollama:llama3.2:1b", "renamed:latest"],
  ])("%s pulled as %s is %s", (name, reference, shown) => {
    expect(displayed(name, reference)).toBe(shown);
  });
  test.each([
    ["mine", "mine", "mine"],
    ["mine:latest", "mine", "mine"],
    ["someone/mine:v2", "mine:v2", "mine-v2"],
    ["../mine", "mine", "mine"],
  ])("%s is made as %s, in the file %s", (written, name, file) => {
    expect([ownName(written), storeName(written)]).toEqual([name, file]);
  });
  test("those of models elsewhere say where", () => {
    const model = testModel({
      name: "cloud/gpt",
      source: { type: "provider", offers: [{ provider: "cloud", model: "gpt" }] },
    });
    expect(tagOf(model, NOT_HERE, 0)).toMatchObject({ remote_model: "gpt", remote_host: "cloud", size: 0 });
  });
});

test("a digest has the twelve digits that clients show, whether that of the weights is known or not", () => {
  const model = testModel({ name: "river" });
  expect(tagOf(model, NOT_HERE, 0)["digest"]).toMatch(/^[0-9a-f]{64}$/);
  expect(tagOf(model, { ...NOT_HERE, sha256: "ab".repeat(32) }, 0)["digest"]).toBe("ab".repeat(32));
});

test("a loaded model takes what its instances take, and stops with the last of them", () => {
  const instance = { device: "cpu", memoryBytes: 5, estimatedMemoryBytes: 9, contextTokens: 512, idleStopAt: 1_000 };
  const instances = [instance, { ...instance, device: "cuda:0", memoryBytes: null, idleStopAt: 2_000 }];
  expect(runningOf(testModel({ name: "river" }), NOT_HERE, instances as never, 0)).toMatchObject({
    size: 14,
    size_vram: 9,
    context_length: 512,
    expires_at: new Date(2_000).toISOString(),
  });
});

test("capabilities have Ollama's names", () => {
  const chat = testModel({ name: "a", capabilities: { type: "chat", vision: true, tools: true, reasoning: false } });
  expect(capabilitiesOf(chat)).toEqual(["completion", "vision", "tools"]);
  expect(capabilitiesOf(testModel({ name: "b", kind: "embedding" }))).toEqual(["embedding"]);
});

describe("what a model is made of", () => {
  const digest = `sha256:${"0".repeat(64)}`;
  test("are keys of a model file", () => {
    const parameters = { temperature: 0.2, num_ctx: 1024, num_predict: -2, stop: ["END"], num_gpu: null };
    expect(settingsOf({ parameters })).toEqual({ temp: 0.2, ctx_size: 1024, n_predict: -1, reverse_prompt: "END" });
  });
  test.each([
    [{ parameters: { mirostat: 1 } }, "parameters.mirostat"],
    [{ parameters: { temperature: 9 } }, "parameters.temperature"],
    [{ parameters: { stop: ["a", "b"] } }, "parameters.stop"],
    [{ template: "{{ .Prompt }}" }, "template"],
    [{ adapters: { a: digest } }, "adapters"],
    [{ quantize: "q4_K_M" }, "quantize"],
  ])("refuses %j", (body, param) => {
    expect(() => settingsOf(body)).toThrow(expect.objectContaining({ param }));
  });
  test("is one GGUF file", () => {
    expect(fileOf({ files: { "a.gguf": digest } })).toBe("0".repeat(64));
    expect(fileOf({})).toBeNull();
    expect(() => fileOf({ files: { "a.safetensors": digest } })).toThrow(/not a GGUF file/);
    expect(() => fileOf({ files: { "a.gguf": "sha256:../../etc" } })).toThrow(
      expect.objectContaining({ param: "files" }),
    );
    expect(() => fileOf({ files: { "a.gguf": digest, "b.gguf": digest } })).toThrow(/one GGUF file/);
  });
});
