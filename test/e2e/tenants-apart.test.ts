import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { installAssistant, type TestAssistant } from "../support/assistant.ts";
import { quickChatModelFile } from "../support/model-files.ts";
import { bothEngines, chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

const SECRET = "The secret project is called Bluebird. ".repeat(6);
/** Most of the secret's tokens. */
const MANY = 50;

let assistant: TestAssistant;
let url: string;
afterAll(() => assistant?.[Symbol.asyncDispose]());

/** Starts a daemon with a model on each engine, named after it, and two keys. */
async function serve(setting = ""): Promise<void> {
  await assistant?.[Symbol.asyncDispose]();
  const keys = ["ada", "bob"].map(
    (key) =>
      `[[server.api_key_sha256]]\nname = "${key}"\nsha256 = "${createHash("sha256").update(key).digest("hex")}"\n`,
  );
  const file = await quickChatModelFile();
  const models = Object.fromEntries(
    bothEngines.map((engine) => [engine, chatModelToml(file, engine).replace('"smol"', `"${engine}"`)]),
  );
  assistant = await installAssistant({ models, config: `${setting}\n${keys.join("\n")}\n${nativeEngineConfig()}` });
  url = await assistant.serve();
}

/** Asks the same prompt as one key's holder, and returns how many of its tokens were known. */
async function cachedFor(key: string, model: string): Promise<number> {
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
    body: JSON.stringify({ model, max_tokens: 2, messages: [{ role: "user", content: SECRET }] }),
  });
  const { usage } = (await answer.json()) as { usage: { prompt_tokens_details: { cached_tokens: number } } };
  return usage.prompt_tokens_details.cached_tokens;
}

describe("keys apart", () => {
  beforeAll(() => serve());

  test.each(bothEngines)(
    "what one key's prompt has left in the cache of %s is nothing that another key's prompt is spared",
    async (engine) => {
      expect(await cachedFor("ada", engine)).toBe(0);
      expect(await cachedFor("bob", engine)).toBe(0);
      expect(await cachedFor("ada", engine)).toBeGreaterThan(MANY);
      expect(await cachedFor("bob", engine)).toBeGreaterThan(MANY);
    },
  );
});

describe("keys that share prefixes", () => {
  beforeAll(() => serve("share_prefixes = true"));

  test.each(bothEngines)("one key's prompt in %s is spared what another's has left", async (engine) => {
    expect(await cachedFor("ada", engine)).toBe(0);
    expect(await cachedFor("bob", engine)).toBeGreaterThan(MANY);
  });
});
