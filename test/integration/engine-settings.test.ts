import { afterAll, beforeAll, expect, test } from "vitest";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
let url = "";
beforeAll(async () => {
  assistant = await installFakes({
    models: {
      known: { toml: 'flash_attention = "on"' },
      unknown: { toml: 'speculation = "ngram-simple"' },
      adapted: { toml: '[[chat.lora]]\npath = "/nowhere/adapter.gguf"' },
      told: { toml: '[capabilities]\ntools = false\ngpus = 2\nlanguage = "de"' },
    },
  });
  url = await assistant.serve();
});
afterAll(() => assistant[Symbol.asyncDispose]());

test("a setting that the llama-server here knows reaches it", async () => {
  expect((await ask(url, "known", "hello")).status).toBe(200);
});

test("one that it does not know is refused before the start, by its name", async () => {
  const { status, text } = await ask(url, "unknown", "hello");
  expect(status).toBeGreaterThanOrEqual(500);
  expect(text).toMatch(/has no --spec-type, which `speculation` needs.*assistant engine build/);
  expect(await assistant.launches("unknown")).toBe(0);
});

test("an adapter that is not there is named before the start", async () => {
  const { text } = await ask(url, "adapted", "hello");
  expect(text).toMatch(/\/nowhere\/adapter\.gguf, named by `lora`, does not exist/);
  expect(await assistant.launches("adapted")).toBe(0);
});

test("what a model offers is in the list of models and in the status, and what it lacks is refused before a start", async () => {
  const offered = { type: "chat", chat: true, completion: true, tools: false, gpus: 2, language: "de" };
  const { data } = (await (await fetch(`${url}/v1/models`)).json()) as { data: { id: string; capabilities: object }[] };
  expect(data.find(({ id }) => id === "told")?.capabilities).toEqual(expect.objectContaining(offered));
  const { models } = await assistant.state();
  expect(models.find(({ name }) => name === "told")?.capabilities).toMatchObject(offered);
  const answer = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      model: "told",
      messages: [{ role: "user", content: "Hi" }],
      tools: [{ type: "function", function: { name: "f" } }],
    }),
  });
  expect(answer.status).toBe(400);
  const { error } = (await answer.json()) as { error: { code: string; param: string; message: string } };
  expect(error).toMatchObject({ code: "unsupported_capability", param: "tools" });
  expect(error.message).toContain("It offers chat, completion.");
  expect(await assistant.launches("told")).toBe(0);
});
