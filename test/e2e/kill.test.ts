import { afterEach, expect, test } from "vitest";
import { eventually, installAssistant, isRunning, readyInstances, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

let assistant: TestAssistant | null = null;
afterEach(async () => {
  await assistant?.[Symbol.asyncDispose]();
  assistant = null;
});

const story = (stream: boolean) =>
  JSON.stringify({
    model: "smol",
    messages: [{ role: "user", content: "Write a long story." }],
    max_tokens: 800,
    stream,
    ignore_eos: true,
  });
const ask = (url: string, stream: boolean) =>
  fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: story(stream),
  });

test("an engine killed mid-stream ends the stream with an error, and the model answers again", async () => {
  assistant = await installAssistant({
    models: { smol: chatModelToml(await chatModelFile(), "llama-server") },
    config: nativeEngineConfig(),
  });
  const url = await assistant.serve();
  const response = await ask(url, true);
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  // Comments come first while the model loads; the answer itself must be under way.
  let seen = "";
  while (!seen.includes('"content":"')) seen += (await reader?.read())?.value ?? "";
  const [instance] = readyInstances(await assistant.status(), "smol");
  if (!instance?.pid) throw new Error("no instance is ready");
  process.kill(-instance.pid, "SIGKILL");
  for (;;) {
    const part = await reader?.read().catch(() => undefined);
    if (!part || part.done) break;
    seen += part.value;
  }
  expect(seen).toContain("engine_lost");
  expect(seen).not.toContain("[DONE]");

  const again = await fetch(`${url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "smol", messages: [{ role: "user", content: "Hello" }], max_tokens: 4 }),
  });
  expect(again.status).toBe(200);
  const [restarted] = readyInstances(await assistant.status(), "smol");
  expect(restarted?.pid).not.toBe(instance.pid);
  expect(restarted?.lastDeath?.message).toContain("SIGKILL");
});

test("no engine outlives a daemon that was killed", async () => {
  assistant = await installAssistant({
    models: { smol: chatModelToml(await chatModelFile(), "llama-server", "preload = true") },
    config: nativeEngineConfig(),
  });
  await assistant.serve();
  const installation = assistant;
  const pid = await eventually(
    "an instance is ready",
    async () => readyInstances(await installation.status(), "smol")[0]?.pid ?? undefined,
  );
  process.kill((await assistant.status()).pid, "SIGKILL");
  await eventually("the engine has ended", async () => !(await isRunning(pid)), 5_000);

  // The lock of the dead daemon keeps nobody out.
  await assistant.serve();
  expect((await assistant.status()).state).toBe("running");
});
