import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually, installAssistant, readyInstances, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

let assistant: TestAssistant;
let url: string;
beforeAll(async () => {
  const model = chatModelToml(await chatModelFile(), "llama-server", "replicas = 2\npreload = true");
  assistant = await installAssistant({ models: { smol: model }, config: nativeEngineConfig() });
  url = await assistant.serve();
});
afterAll(() => assistant?.[Symbol.asyncDispose]());

test("two instances serve one model at once, and all threads together stay within the cores", async () => {
  await eventually(
    "both instances are ready",
    async () => readyInstances(await assistant.status(), "smol").length === 2,
  );
  const answers = await Promise.all(
    ["rivers", "mountains", "cities", "birds"].map((topic) =>
      fetch(`${url}/v1/chat/completions`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({
          model: "smol",
          messages: [{ role: "user", content: `Tell me about ${topic}.` }],
          max_tokens: 32,
          ignore_eos: true,
        }),
      }),
    ),
  );
  expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200, 200]);
  const servedBy = new Set(answers.map((answer) => answer.headers.get("x-assistant-instance")));
  expect(servedBy.size).toBe(2);
  const instances = readyInstances(await assistant.status(), "smol");
  const { availableParallelism } = await import("node:os");
  expect(instances.reduce((sum, instance) => sum + instance.threads, 0)).toBeLessThanOrEqual(
    Math.max(2, availableParallelism()),
  );
});
