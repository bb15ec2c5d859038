import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { quickChatModelFile } from "../support/model-files.ts";
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
afterAll(() => assistant?.[Symbol.asyncDispose]());

const modelFile = (name: string, weights: string, more = ""): string =>
  `[chat]\nmodel_name = "${name}"\nsource = "${weights}"\nengine = "llama-server"\nctx_size = 2048\nslots = 2\nthreads = 1\n${more}\n`;

const NO_HOST_CACHE = "host_cache_mib = 0";
const HOST_CACHE = "host_cache_mib = 256";

/** Ends the daemon before. `models`: name -> further lines. */
async function start(models: Readonly<Record<string, string>>, scheduler = "", maxInstances = 1): Promise<string> {
  await assistant?.[Symbol.asyncDispose]();
  const weights = await quickChatModelFile();
  const files = Object.entries(models).map(([name, more]) => [name, modelFile(name, weights, more)]);
  const setup = { models: Object.fromEntries(files), config: nativeEngineConfig(), scheduler, maxInstances };
  assistant = await installAssistant(setup);
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

/**
 * Long enough, and soon different enough (from the system message on), that llama-server doesn't take one conversation
 * for the beginning of another, and that it is worth saving (64 tokens); no longer, as every token costs.
 */
const opening = (topic: string): Message[] => [
  { role: "system", content: `${topic} are all you know.` },
  {
    role: "user",
    content: `${topic}: ${Array.from({ length: 8 }, (_, index) => `Fact ${index} about ${topic} is known.`).join(" ")} Which is best?`,
  },
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

const topics = ["rivers", "bridges", "mountains", "caves"];
const peaks: Message[] = [{ role: "user", content: "Name a peak." }];

describe("models that take turns in one place", () => {
  let url: string;
  beforeAll(async () => {
    url = await start({ river: NO_HOST_CACHE, mountain: NO_HOST_CACHE, lake: HOST_CACHE, pond: NO_HOST_CACHE });
  });

  test("keep each other's conversations", async () => {
    const models = ["river", "mountain"] as const;
    const talks = {
      river: [opening("rivers"), opening("bridges")],
      mountain: [opening("mountains"), opening("caves")],
    };
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

  test("keep those too that lost their slot to others", async () => {
    const talks = topics.map(opening);
    const first: Turn[] = [];
    for (const messages of talks) first.push(await say(url, "lake", messages));
    await say(url, "mountain", peaks);
    expect(await slotFiles("lake")).toHaveLength(topics.length);
    for (const [index, messages] of talks.entries()) {
      const turn = first[index] as Turn;
      const { cachedTokens } = await say(url, "lake", next(messages, turn));
      expect(cachedTokens, topics[index] ?? "").toBeGreaterThanOrEqual(0.9 * turn.promptTokens);
    }
  });

  test("go on after idleness without computing again, and keep nothing of a model that is removed", async () => {
    await assistant.writeModel(
      "pond",
      modelFile("pond", await quickChatModelFile(), `${NO_HOST_CACHE}\nidle_ttl_s = 1`),
    );
    await assistant.reload();
    const isAbsent = async () => (await assistant.status()).instances.every(({ state }) => state === "absent");
    const messages = opening("rivers");
    const first = await say(url, "pond", messages);
    await eventually("it was stopped", isAbsent);
    const second = await say(url, "pond", next(messages, first));
    expect(second.cachedTokens).toBeGreaterThanOrEqual(0.9 * first.promptTokens);
    await eventually("it was saved again", async () => (await slotFiles("pond")).length > 0);
    await eventually("it was stopped again", isAbsent);
    await rm(join(assistant.root, "models", "pond.toml"));
    await assistant.reload();
    await eventually("its conversations are gone", async () => (await slotFiles("pond")).length === 0);
  });
});

test("a replica that stays goes on with the conversations of the one that had to go", async () => {
  const river = `replicas = 2\npreload = true\n${HOST_CACHE}`;
  const url = await start({ river, mountain: NO_HOST_CACHE }, "", 2);
  const ready = async () =>
    (await assistant.status()).instances.filter(({ state, model }) => state === "ready" && model === "river");
  await eventually("both replicas are up", async () => (await ready()).length === 2);
  const talks = topics.map(opening);
  // Two at a time, so that both replicas have some.
  const first: Turn[] = [];
  for (let index = 0; index < talks.length; index += 2)
    first.push(...(await Promise.all(talks.slice(index, index + 2).map((messages) => say(url, "river", messages)))));
  await say(url, "mountain", peaks);
  expect(await ready()).toHaveLength(1);
  await eventually("it has taken them over", async () =>
    (await assistant.daemonLog()).includes("conversations taken over"),
  );
  for (const [index, messages] of talks.entries()) {
    const turn = first[index] as Turn;
    const { cachedTokens } = await say(url, "river", next(messages, turn));
    expect(cachedTokens, topics[index] ?? "").toBeGreaterThanOrEqual(0.9 * turn.promptTokens);
  }
});

test("with slot_cache_mib = 0 nothing is written", async () => {
  const url = await start({ river: NO_HOST_CACHE, mountain: NO_HOST_CACHE }, "slot_cache_mib = 0");
  const first = await say(url, "river", opening("rivers"));
  await say(url, "mountain", peaks);
  expect(await slotFiles("river")).toEqual([]);
  const again = await say(url, "river", next(opening("rivers"), first));
  expect(again.cachedTokens).toBeLessThan(0.1 * first.promptTokens);
});
