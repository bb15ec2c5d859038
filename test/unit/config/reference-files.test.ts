import { readFile } from "node:fs/promises";
import { expect, it } from "vitest";
import { schemaNode } from "../../../src/config/schema/kit.ts";
import { MainFile } from "../../../src/config/schema/main.ts";
import { ModelFile } from "../../../src/config/schema/model.ts";
import { parseToml } from "../../../src/config/toml.ts";
import { model, noticeLines, type Site, site } from "./support.ts";

const fixture = (name: string): Promise<string> => readFile(new URL(`fixtures/${name}`, import.meta.url), "utf8");

async function referenceSite(): Promise<Site> {
  return site({
    "config.toml": await fixture("reference-config.toml"),
    "reference-model.toml": await fixture("reference-model.toml"),
  });
}

it("the reference's two files load unchanged", async () => {
  await using at = await referenceSite();
  const config = await at.load();
  expect(config.http).toEqual({ host: "127.0.0.1", port: 8080 });
  expect(config.scheduler).toMatchObject({ maxInstances: 10, maxLoad: 0.8, threadBudget: 4 });
  expect(config.paths.modelConfigDir).toBe("/etc/assistant/models");
  expect(config.models.map(({ name, kind }) => [name, kind])).toEqual([
    ["local", "chat"],
    ["local-embedding", "embedding"],
  ]);
});

it("every value of the reference's chat section arrives", async () => {
  await using at = await referenceSite();
  const chat = model(await at.load(), "local");
  expect(chat).toMatchObject({
    aliases: [],
    source: { type: "file", path: "/srv/models/chat.gguf" },
    includeUsage: false,
  });
  expect(chat.ownAddresses).toEqual(["127.0.0.1:8000", "127.0.0.1:8010"]);
  expect(chat.load).toMatchObject({
    contextTokens: 4096,
    batchTokens: 128,
    microBatchTokens: 128,
    chatTemplate: "chatml",
    gpuLayers: 100,
    splitMode: "layer",
    mainGpu: 0,
    tensorSplit: [],
    threads: 2,
    mmap: false,
    projectorPath: "",
  });
  expect(chat.sampling).toEqual({
    temperature: 1,
    topP: 1,
    topK: null,
    minP: null,
    repeatPenalty: 1.1,
    presencePenalty: 0,
    frequencyPenalty: 0,
    maxTokens: -1,
    stop: [],
    grammar: "",
    jsonSchema: "",
  });
});

it("every value of the reference's embedding section arrives", async () => {
  await using at = await referenceSite();
  const embedding = model(await at.load(), "local-embedding");
  expect(embedding).toMatchObject({
    aliases: ["embedding"],
    source: { type: "file", path: "/srv/models/embedding.gguf" },
  });
  expect(embedding.load).toMatchObject({
    contextTokens: 384,
    batchTokens: 512,
    microBatchTokens: 512,
    threads: 2,
    mmap: false,
    chatTemplate: "",
  });
  expect(embedding.ownAddresses).toEqual(["127.0.0.1:8000", "127.0.0.1:8010"]);
});

it("what is not honoured as written is told with its line and what to write", async () => {
  await using at = await referenceSite();
  const starts = noticeLines(await at.load(), at).map((line) => line.slice(0, 100));
  expect(starts).toEqual([
    expect.stringMatching(
      /^error config\.toml:19: llama_servers\[0\]\.tts_model_path: \/srv\/models\/tts\.gguf is a GGUF file/,
    ),
    expect.stringMatching(/^warning config\.toml:7: server\.grpc_addr: 0\.0\.0\.0:50051 would be open to everyone/),
    expect.stringMatching(/^warning config\.toml:8: server\.http_addr: 0\.0\.0\.0:8080 would be open to everyone/),
    expect.stringMatching(
      /^warning config\.toml:11: scheduler\.config_dir: the directory \/etc\/assistant\/models does not exist/,
    ),
    expect.stringMatching(/^warning reference-model\.toml:2: server\.socket_addr: 0\.0\.0\.0:8010 would be open to/),
    expect.stringMatching(/^warning reference-model\.toml:9: chat\.ubatch_size: 512 is above/),
  ]);
});

it("the reference's model file may stand alone in config_dir, and says how it gets weights", async () => {
  await using at = await site({ "models/sample.toml": await fixture("reference-model.toml") });
  const config = await at.load();
  expect(config.models).toEqual([]);
  expect(noticeLines(config, at).filter((line) => line.includes("sample"))).toEqual([
    expect.stringMatching(/^warning models\/sample\.toml: serves nothing.*source = "smollm2"/),
  ]);
});

it("every key of the reference's files has a row in the table of what becomes of it", async () => {
  for (const [name, schema] of [
    ["reference-config.toml", MainFile],
    ["reference-model.toml", ModelFile],
  ] as const) {
    const { data } = parseToml(name, await fixture(name));
    for (const [section, value] of Object.entries(data)) {
      const node = schemaNode(schema).properties?.[section];
      const keys = Object.keys((Array.isArray(value) ? value[0] : value) as object);
      for (const key of keys)
        expect((node?.items?.properties ?? node?.properties)?.[key]?.spec?.becomes, `${section}.${key}`).toBeTruthy();
    }
  }
});
