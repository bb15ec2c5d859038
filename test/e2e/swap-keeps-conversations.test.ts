import { readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

interface Message {
  readonly role: string;
  readonly content: string;
}

interface Turn {
  readonly reply: string;
  readonly promptTokens: number;
  readonly cachedTokens: number;
}

let assistant: TestAssistant;
afterEach(() => assistant?.[Symbol.asyncDispose]());

const modelFile = (name: string, weights: string, more = ""): string =>
  `[chat]\nmodel_name = "${name}"\nsource = "${weights}"\nengine = "llama-server"\nctx_size = 2048\nslots = 2\nhost_cache_mib = 0\n${more}\n`;

async function start(scheduler = ""): Promise<string> {
  const weights = await chatModelFile();
  const models = { river: modelFile("river", weights), mountain: modelFile("mountain", weights) };
  assistant = await installAssistant({ models, config: nativeEngineConfig(), scheduler });
  // The support's own setting stands in the same section.
  const file = assistant.env["ASSISTANT_CONFIG"] ?? "";
  const { readFile } = await import("node:fs/promises");
  await writeFile(file, (await readFile(file, "utf8")).replace("max_instances = 4", "max_instances = 1"));
  return assistant.serve();
}

async function say(url: string, model: string, messages: readonly Message[]): Promise<Turn> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, messages, max_tokens: 8, temperature: 0 }),
  });
  expect(response.status).toBe(200);
  const body = (await response.json()) as {
    choices: { message: { content: string } }[];
    usage: { prompt_tokens: number; prompt_tokens_details?: { cached_tokens: number } };
  };
  return {
    reply: body.choices[0]?.message.content ?? "",
    promptTokens: body.usage.prompt_tokens,
    cachedTokens: body.usage.prompt_tokens_details?.cached_tokens ?? 0,
  };
}

const opening = (topic: string): Message[] => [
  { role: "user", content: `${Array.from({ length: 60 }, (_, index) => `Fact ${index} about ${topic} is well known.`).join(" ")} Which one is the best?` },
];
const next = (messages: readonly Message[], { reply }: Turn): Message[] => [
  ...messages,
  { role: "assistant", content: reply },
  { role: "user", content: "And which one comes after it?" },
];

const slotFiles = async (model: string): Promise<string[]> => {
  const folder = join(assistant.env["ASSISTANT_DATA_DIR"] ?? "", "slots", model);
  return (await readdir(folder).catch(() => [])).map((name) => join(folder, name));
};

test("two models that take turns in one place keep each other's conversations", async () => {
  const url = await start();
  const models = ["river", "mountain"] as const;
  const talks = { river: [opening("rivers"), opening("bridges")], mountain: [opening("mountains"), opening("caves")] };
  const history: Record<string, number[]> = { river: [], mountain: [] };
  for (const model of models) {
    for (const [index, messages] of talks[model].entries()) {
      const turn = await say(url, model, messages);
      history[model]?.push(turn.promptTokens);
      talks[model][index] = next(messages, turn);
    }
  }
  const saved = await slotFiles("river");
  expect(saved).toHaveLength(2);
  for (const file of saved) expect((await stat(file)).mode & 0o777).toBe(0o600);
  for (const model of models) {
    for (const [index, messages] of talks[model].entries()) {
      const { cachedTokens } = await say(url, model, messages);
      expect(cachedTokens, `${model} ${index}`).toBeGreaterThanOrEqual(0.9 * (history[model]?.[index] ?? Number.NaN));
    }
  }
  expect((await assistant.status()).instances.filter(({ state }) => state === "ready")).toHaveLength(1);
  expect(await slotFiles("mountain")).toEqual([]);
});

test("a conversation that ended by idleness goes on without being computed again, and none is kept of a model that is removed", async () => {
  const url = await start();
  await assistant.writeModel("river", modelFile("river", await chatModelFile(), "idle_ttl_s = 1"));
  await assistant.run(["reload"]);
  const messages = opening("rivers");
  const first = await say(url, "river", messages);
  await eventually("it was stopped", async () => (await assistant.status()).instances.every(({ state }) => state === "absent"));
  const second = await say(url, "river", next(messages, first));
  expect(second.cachedTokens).toBeGreaterThanOrEqual(0.9 * first.promptTokens);
  await eventually("it was saved again", async () => (await slotFiles("river")).length > 0);
  await eventually("it was stopped again", async () => (await assistant.status()).instances.every(({ state }) => state === "absent"));
  const { rm } = await import("node:fs/promises");
  await rm(join(assistant.root, "models", "river.toml"));
  await assistant.run(["reload"]);
  await eventually("its conversations are gone", async () => (await slotFiles("river")).length === 0);
});

test("with slot_cache_mib = 0 nothing is written", async () => {
  const url = await start("slot_cache_mib = 0");
  const first = await say(url, "river", opening("rivers"));
  await say(url, "mountain", opening("mountains"));
  expect(await slotFiles("river")).toEqual([]);
  const again = await say(url, "river", next(opening("rivers"), first));
  expect(again.cachedTokens).toBeLessThan(0.1 * first.promptTokens);
});
