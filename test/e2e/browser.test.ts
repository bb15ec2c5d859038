import { mkdir, writeFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { installAssistant, type TestAssistant } from "../support/assistant.ts";
import { chatModelFile } from "../support/model-files.ts";
import { chatModelToml } from "../support/models.ts";
import { nativeEngineConfig } from "../support/native-engine.ts";

// What a chat application in a browser does: a page from another origin lists the models, then streams a chat with
// the headers such clients send, so that every call is preceded by a preflight.
let assistant: TestAssistant;
let browser: Browser;
let page: Server;
let url: string;

beforeAll(async () => {
  assistant = await installAssistant({
    models: {
      smol: chatModelToml(await chatModelFile(), "llama-server"),
      espeak: '[tts]\nsource = "espeak-ng"',
    },
    config: nativeEngineConfig(),
  });
  await mkdir(join(assistant.root, "pipelines"));
  await writeFile(
    join(assistant.root, "pipelines/voice.toml"),
    `stages = [{ use = "model", model = "smol", options = { max_tokens = 24 } }, { use = "speech", model = "espeak" }]`,
  );
  url = await assistant.serve();
  page = createServer((_request, response) =>
    response.writeHead(200, { "content-type": "text/html" }).end("<title>chat</title>"),
  ).listen(0, "127.0.0.1");
  browser = await chromium.launch({
    executablePath: process.env["ASSISTANT_TEST_CHROMIUM"] ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
afterAll(async () => {
  await browser?.close();
  page?.close();
  await assistant?.[Symbol.asyncDispose]();
});

test("a page on another local port lists models and streams a chat", async () => {
  const tab = await browser.newPage();
  await tab.goto(`http://localhost:${(page.address() as AddressInfo).port}/`);
  const result = await tab.evaluate(async (base) => {
    const headers = { authorization: "Bearer anything", "content-type": "application/json", "x-stainless-lang": "js" };
    const models = (await (await fetch(`${base}/v1/models`, { headers })).json()) as { data: { id: string }[] };
    const response = await fetch(`${base}/v1/chat/completions`, {
      method: "POST",
      headers,
      body: JSON.stringify({
        model: "smol",
        stream: true,
        max_tokens: 24,
        messages: [{ role: "user", content: "Hello there" }],
      }),
    });
    const reader = response.body?.getReader();
    const decoder = new TextDecoder();
    let reads = 0;
    let text = "";
    for (;;) {
      const part = await reader?.read();
      if (!part || part.done) break;
      reads++;
      text += decoder.decode(part.value, { stream: true });
    }
    return {
      models: models.data.map((model) => model.id),
      status: response.status,
      reads,
      text,
      requestId: response.headers.get("x-request-id"),
    };
  }, url);
  expect(result.models).toContain("smol");
  expect(result.status).toBe(200);
  expect(result.reads).toBeGreaterThan(3);
  expect(result.text.trimEnd().endsWith("data: [DONE]")).toBe(true);
  expect(result.requestId).toMatch(/^req_/);
});

test("a page shows the text of a pipeline as it comes, and plays its sound", async () => {
  const tab = await browser.newPage();
  await tab.goto(`http://localhost:${(page.address() as AddressInfo).port}/`);
  const result = await tab.evaluate(async (base) => {
    const { AudioContext, document } = globalThis as unknown as {
      AudioContext: new () => { decodeAudioData(bytes: ArrayBuffer): Promise<{ readonly duration: number }> };
      document: { readonly body: { append(text: string): void; readonly textContent: string } };
    };
    const audio = new AudioContext();
    const response = await fetch(`${base}/pipelines/voice/input`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ user: "page", Input: "", text: "Name a river, and say why.", Entry: 0 }),
    });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let pending = "";
    let seconds = 0;
    const types: string[] = [];
    for (;;) {
      const part = await reader?.read();
      if (!part || part.done) break;
      pending += part.value;
      const events = pending.split("\n\n");
      pending = events.pop() ?? "";
      for (const event of events.filter((line) => line.startsWith("data: "))) {
        const { type, chunk } = JSON.parse(event.slice(6)) as { type: string; chunk: string };
        types.push(type);
        if (type === "text") document.body.append(chunk);
        if (type !== "audio/wav") continue;
        const bytes = Uint8Array.from(atob(chunk), (character) => character.charCodeAt(0));
        seconds += (await audio.decodeAudioData(bytes.buffer)).duration;
      }
    }
    return { status: response.status, types, seconds, shown: document.body.textContent };
  }, url);
  expect(result.status).toBe(200);
  expect(result.shown.length).toBeGreaterThan(5);
  expect(result.types.filter((type) => type === "text").length).toBeGreaterThan(3);
  expect(result.seconds).toBeGreaterThan(0.3);
  expect(result.types.at(-1)).toBe("end");
});

test("a page of a foreign site is not let in", async () => {
  const preflight = await fetch(`${url}/v1/chat/completions`, {
    method: "OPTIONS",
    headers: {
      origin: "https://evil.example",
      "access-control-request-method": "POST",
      "access-control-request-headers": "content-type",
    },
  });
  expect(preflight.headers.get("access-control-allow-origin")).toBeNull();
});
