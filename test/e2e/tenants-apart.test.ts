import { createHash } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import { installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { bothEngines, chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

let assistant: TestAssistant;
afterEach(() => assistant?.[Symbol.asyncDispose]());

type CachedFor = (key: string) => Promise<number>;

/** Resolves to what asks the same prompt as one key's holder, and returns how many of its tokens were known. */
async function serve(engine: (typeof bothEngines)[number], setting = ""): Promise<CachedFor> {
  const keys = ["ada", "bob"].map(
    (key) =>
      `[[server.api_key_sha256]]\nname = "${key}"\nsha256 = "${createHash("sha256").update(key).digest("hex")}"\n`,
  );
  const models = { smol: chatModelToml(await chatModelFile(), engine) };
  assistant = await installAssistant({ models, config: `${setting}\n${keys.join("\n")}\n${nativeEngineConfig()}` });
  const url = await assistant.serve();
  return async (key) => {
    const answer = await fetch(`${url}/v1/chat/completions`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify({
        model: "smol",
        max_tokens: 2,
        messages: [{ role: "user", content: "The secret project is called Bluebird. ".repeat(12) }],
      }),
    });
    return ((await answer.json()) as { usage: { prompt_tokens_details: { cached_tokens: number } } }).usage
      .prompt_tokens_details.cached_tokens;
  };
}

test.each(bothEngines)(
  "what one key's prompt has left in the cache of %s is nothing that another key's prompt is spared",
  async (engine) => {
    const cachedFor = await serve(engine);
    expect(await cachedFor("ada")).toBe(0);
    expect(await cachedFor("bob")).toBe(0);
    expect(await cachedFor("ada")).toBeGreaterThan(100);
    expect(await cachedFor("bob")).toBeGreaterThan(100);
  },
);

test.each(bothEngines)(
  "where the keys share prefixes, one key's prompt in %s is spared what another's has left",
  async (engine) => {
    const cachedFor = await serve(engine, "share_prefixes = true");
    expect(await cachedFor("ada")).toBe(0);
    expect(await cachedFor("bob")).toBeGreaterThan(100);
  },
);
