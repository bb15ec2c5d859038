import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
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
    models: { smol: chatModelToml(await chatModelFile(), "llama-server") },
    config: nativeEngineConfig(),
  });
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
        max_tokens: 64,
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
