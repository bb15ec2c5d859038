import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { readModelFacts } from "../../src/models/facts.ts";
import { estimateMemory } from "../../src/models/fit.ts";
import { chatModelFile } from "../support/model-files.ts";
import { ggufLike, testStore } from "../support/store.ts";

const settings = {
  kind: "chat",
  contextTokens: 4096,
  slots: 2,
  microBatchTokens: 128,
  gpuLayers: 0,
  cacheTypeK: "f16",
  cacheTypeV: "f16",
} as const;

describe("the header of a model file", () => {
  it("tells what the model is", async () => {
    expect(await readModelFacts(await chatModelFile())).toEqual({
      bytes: 98_362_432,
      capabilities: { type: "chat", tools: false, reasoning: false, infill: false, vision: false, audio: false },
      architecture: "llama",
      title: "Smollm2 135M 8k Lc100K Mix1 Ep2",
      parameters: 134_515_008,
      quantization: "Q4_1",
      layers: 30,
      trainContextTokens: 8192,
      embeddingLength: 576,
      hasChatTemplate: true,
      pooling: null,
      licence: "apache-2.0",
      kind: "chat",
    });
  });

  it("is refused when it is damaged", async () => {
    await using store = await testStore();
    const file = join(store.dir, "x.gguf");
    await writeFile(file, ggufLike(4096));
    await expect(readModelFacts(file)).rejects.toMatchObject({
      code: "model_invalid",
      message: expect.stringContaining("names no architecture"),
    });
    await truncate(file, 10);
    await expect(readModelFacts(file)).rejects.toMatchObject({
      code: "model_invalid",
      message: expect.stringContaining("cut off or damaged"),
    });
  });
});

describe("the memory estimate", () => {
  it("is what llama-server was measured to hold, within a tenth", async () => {
    const file = await chatModelFile();
    // Resident bytes of llama-server after two requests of 3,800 tokens each.
    const measured = 322_208 * 1024;
    const { total } = await estimateMemory(file, settings);
    expect(Math.abs(total.hostBytes / measured - 1)).toBeLessThan(0.1);
    expect(total.gpuBytes).toBe(0);
  });

  it("grows with context and slots, shrinks with a smaller cache type, and moves to the GPU with the layers", async () => {
    const file = await chatModelFile();
    const f16 = await estimateMemory(file, settings);
    const twice = await estimateMemory(file, { ...settings, slots: 4 });
    const q8 = await estimateMemory(file, { ...settings, cacheTypeK: "q8_0", cacheTypeV: "q8_0" });
    const gpu = await estimateMemory(file, { ...settings, gpuLayers: 100 });
    expect(twice.cache.hostBytes / f16.cache.hostBytes).toBeCloseTo(2, 1);
    expect(q8.cache.hostBytes / f16.cache.hostBytes).toBeCloseTo(8.5 / 16, 2);
    expect(gpu.cache).toEqual({ hostBytes: 0, gpuBytes: f16.cache.hostBytes });
    expect(gpu.weights.gpuBytes).toBeGreaterThan(90e6);
  });
});
