import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { anthropicError } from "../../../fakes/dialects/anthropic-wire.ts";
import { answers, type ProviderScript, providerServer } from "../../../fakes/dialects/server.ts";
import { connected, type DialectName } from "../../../support/translated.ts";

async function listed(dialect: DialectName, script: ProviderScript) {
  await using server = await providerServer(script);
  using connection = connected(dialect, server.url);
  const models = await connection.listModels();
  return { models, request: server.requests[0] };
}

// https://platform.claude.com/docs/en/api/models-list
const ANTHROPIC = JSON.stringify({
  data: [
    {
      type: "model",
      id: "claude-opus-4-6",
      display_name: "Claude Opus 4.6",
      created_at: "2026-02-04T00:00:00Z",
      max_input_tokens: 200_000,
    },
    {
      type: "model",
      id: "claude-haiku-4-5-20251001",
      display_name: "Claude Haiku 4.5",
      created_at: "2025-10-15T00:00:00Z",
    },
  ],
  has_more: false,
  first_id: "claude-opus-4-6",
  last_id: "claude-haiku-4-5-20251001",
});

test("anthropic: the list of models", async () => {
  const { models, request } = await listed("anthropic", answers(200, ANTHROPIC));
  expect(request).toMatchObject({ path: "/models?limit=1000", headers: { "x-api-key": "secret-key" } });
  expect(models).toEqual([
    { id: "claude-opus-4-6", kind: "chat", contextTokens: 200_000 },
    { id: "claude-haiku-4-5-20251001", kind: "chat", contextTokens: null },
  ]);
});

// https://ai.google.dev/api/models
const GOOGLE = JSON.stringify({
  models: [
    {
      name: "models/gemini-2.5-flash",
      inputTokenLimit: 1_048_576,
      outputTokenLimit: 65_536,
      supportedGenerationMethods: ["generateContent", "countTokens"],
    },
    { name: "models/gemini-embedding-001", inputTokenLimit: 2048, supportedGenerationMethods: ["embedContent"] },
    { name: "models/gemini-2.5-flash-image", supportedGenerationMethods: ["generateContent"] },
    { name: "models/aqa", supportedGenerationMethods: ["generateAnswer"] },
  ],
});

test("google: the list of models, with what each is for", async () => {
  const { models, request } = await listed("google", answers(200, GOOGLE));
  expect(request).toMatchObject({ path: "/models?pageSize=1000", headers: { "x-goog-api-key": "secret-key" } });
  expect(models).toEqual([
    { id: "gemini-2.5-flash", kind: "chat", contextTokens: 1_048_576 },
    { id: "gemini-embedding-001", kind: "embedding", contextTokens: 2048 },
    { id: "gemini-2.5-flash-image", kind: null, contextTokens: null },
    { id: "aqa", kind: null, contextTokens: null },
  ]);
});

test.each<[string, ProviderScript, string]>([
  [
    "a key that is rejected",
    answers(401, anthropicError("authentication_error", "invalid x-api-key")),
    "provider_rejected_key",
  ],
  ["a web page", answers(200, "<html>"), "provider_error"],
  ["something else", answers(200, "{}"), "provider_error"],
])("instead of a list, %s", async (_, script, code) => {
  await expect(listed("anthropic", script)).rejects.toMatchObject({ code });
});

test("the SDKs are loaded by the first request, and not with the daemon", () => {
  const folder = new URL("../../../../src/upstreams/translate/", import.meta.url);
  const imports = readdirSync(folder).flatMap(
    (file) => readFileSync(new URL(file, folder), "utf8").match(/^import .*@ai-sdk.*$/gm) ?? [],
  );
  expect(imports.length).toBeGreaterThan(0);
  expect(imports.filter((line) => !line.startsWith("import type "))).toEqual([]);
});
