import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, installAssistant, readyInstances, type TestAssistant } from "../support/assistant.ts";
import { quickChatModelFile } from "../support/model-files.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

/** Small enough to be filled within seconds. */
const CONTEXT = 512;
let assistant: TestAssistant;
let url: string;
beforeAll(async () => {
  const model = `[chat]\nmodel_name = "smol"\nsource = "${await quickChatModelFile()}"\nengine = "llama-server"\nctx_size = ${CONTEXT}\nslots = 1\nthreads = 1\nhost_cache_mib = 0\n`;
  assistant = await installAssistant({ models: { smol: model }, config: nativeEngineConfig(), ownEstimates: true });
  url = await assistant.serve();
});
afterAll(() => assistant?.[Symbol.asyncDispose]());

test("what an instance takes when its context is full is what was estimated before, within a tenth", async () => {
  const answer = await fetch(`${url}/v1/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "smol", prompt: "river ".repeat(CONTEXT - 80), max_tokens: 60, ignore_eos: true }),
  });
  const { usage } = (await answer.json()) as { usage: { total_tokens: number } };
  expect(usage.total_tokens).toBeGreaterThan(CONTEXT * 0.8);
  const instance = await eventually("both figures are there", async () =>
    readyInstances(await assistant.status(), "smol").find(
      (found) => found.memoryBytes !== null && found.estimatedMemoryBytes !== null,
    ),
  );
  const ratio = (instance.estimatedMemoryBytes ?? 0) / (instance.memoryBytes ?? 1);
  expect(ratio).toBeGreaterThan(0.9);
  expect(ratio).toBeLessThan(1.1);
  // The command estimates by itself, and alike.
  const shown = JSON.parse((await assistant.run(["show", "smol", "--json"])).stdout) as {
    memory: { total: { hostBytes: number; gpuBytes: number } };
  };
  const gpus = (await assistant.status()).devices.some(({ vendor }) => vendor !== "cpu");
  expect(gpus ? shown.memory.total.gpuBytes : shown.memory.total.hostBytes).toBe(instance.estimatedMemoryBytes);
});
