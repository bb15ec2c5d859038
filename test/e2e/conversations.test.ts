import { afterAll, beforeAll, expect, test } from "vitest";
import { installAssistant, type TestAssistant } from "../support/assistant.ts";
import { quickChatModelFile } from "../support/model-files.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

const CONTEXT_TOKENS = 512;
const MAX_TOKENS = 8;

let assistant: TestAssistant;
let url: string;

beforeAll(async () => {
  const weights = await quickChatModelFile();
  const model = `[chat]\nmodel_name = "river"\nsource = "${weights}"\nengine = "llama-server"\nctx_size = ${CONTEXT_TOKENS}\nslots = 1\nthreads = 1\n`;
  assistant = await installAssistant({ models: { river: model }, config: nativeEngineConfig() });
  url = await assistant.serve();
});
afterAll(() => assistant?.[Symbol.asyncDispose]());

async function post<T>(path: string, body: object): Promise<T> {
  const headers = { "content-type": "application/json" };
  const answer = await fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  const text = await answer.text();
  expect(answer.ok, text).toBe(true);
  return JSON.parse(text) as T;
}

const begin = async (): Promise<string> =>
  (
    await post<{ conversation_id: string }>("/api/v1/conversations", {
      model: "river",
      system_prompt: "You know all about rivers, and answer in one sentence.",
    })
  ).conversation_id;

interface Usage {
  readonly prompt_tokens: number;
  readonly completion_tokens: number;
  readonly prompt_tokens_details: { readonly cached_tokens: number };
}
const say = async (conversation: string, content: string): Promise<Usage> =>
  (
    await post<{ usage: Usage }>("/v1/chat/completions", {
      conversation,
      messages: [{ role: "user", content }],
      max_tokens: MAX_TOKENS,
      temperature: 0,
    })
  ).usage;

test("a second turn computes only what is new", async () => {
  const id = await begin();
  const first = await say(
    id,
    `Which of these is the longest? ${"The Rhine, the Elbe, the Oder, the Weser. ".repeat(8)}`,
  );
  const second = await say(id, "And the second one?");
  const known = first.prompt_tokens + first.completion_tokens;
  expect(first.prompt_tokens).toBeGreaterThan(100);
  // The template ends an answer by more than the token that the engine stopped at, or was stopped before.
  expect(second.prompt_tokens_details.cached_tokens).toBeGreaterThanOrEqual(known - 2);
  expect(second.prompt_tokens - second.prompt_tokens_details.cached_tokens).toBeLessThan(30);
});

test("a history is cut by the model's own tokens: what fits stays, and what does not is left out", async () => {
  const id = await begin();
  const story = "The river runs from the mountains to the sea, and on its way it takes up many others. ".repeat(7);
  const message = (index: number) => ({ role: "user", content: `${index}. ${story}` });
  for (let index = 0; index < 2; index++) await post(`/api/v1/conversations/${id}/messages`, message(index));
  const fits = await say(id, "What is it about?");
  // More bytes than the context has tokens, and far fewer tokens.
  expect(2 * story.length).toBeGreaterThan(2 * CONTEXT_TOKENS);
  expect(fits.prompt_tokens).toBeGreaterThan(2 * 120);
  for (let index = 2; index < 6; index++) await post(`/api/v1/conversations/${id}/messages`, message(index));
  const cut = await say(id, "And now?");
  expect(cut.prompt_tokens).toBeGreaterThan(CONTEXT_TOKENS / 2);
  expect(cut.prompt_tokens).toBeLessThanOrEqual(CONTEXT_TOKENS - MAX_TOKENS);
});
