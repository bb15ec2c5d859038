import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type LlamaSettings, PLAIN_LLAMA, type Speculation, speculationMethods } from "../../src/core/llama.ts";
import type { EngineId } from "../../src/core/model.ts";
import { helpOf } from "../../src/engines/llama-server/installation.ts";
import { settingArguments } from "../../src/engines/llama-server/settings.ts";
import { writeAdapter } from "../support/gguf-copy.ts";
import { chatModelFile } from "../support/model-files.ts";
import { nativeEngineFile } from "../support/native-engine.ts";
import { bothEngines, cpu, EngineProcess, modelSpec, planFor } from "./engine-process.ts";

const with_ = (changes: Partial<LlamaSettings>) => ({ load: { llama: { ...PLAIN_LLAMA, ...changes } } });
const speculation: Speculation = {
  method: "ngram-simple",
  draft: null,
  draftOnCpu: false,
  draftGpuLayers: null,
  maxTokens: 8,
  minTokens: 1,
  minProbability: 0.1,
  ngramTokens: 3,
};
const counting = { prompt: `${"one two three four five ".repeat(12)}one two`, max_tokens: 24, temperature: 0 };
const complete = { cache_prompt: false, ...counting };

const plain: Partial<Record<EngineId, string>> = {};
/** What an engine answers that has no settings. */
async function plainAnswer(id: EngineId): Promise<string> {
  if (plain[id] !== undefined) return plain[id];
  await using engine = await EngineProcess.start(id, await chatModelFile());
  plain[id] = (await engine.post("/v1/completions", complete)).body.choices[0].text as string;
  return plain[id];
}

test("this release knows every flag that a model file can lead to", async () => {
  const known = await helpOf(nativeEngineFile());
  const rope = Object.fromEntries(Object.keys(PLAIN_LLAMA.rope).map((key) => [key, 1])) as never;
  const most: LlamaSettings = {
    flashAttention: "on",
    lora: [{ path: "/a.gguf", scale: 1 }],
    rope,
    speculation,
    cpuMoeLayers: 1,
    tensorOverrides: ["a=CPU"],
  };
  const variants = [
    ...speculationMethods.map((method) => ({ ...most, speculation: { ...speculation, method } })),
    { ...most, cpuMoeLayers: -1, speculation: { ...speculation, method: "draft-simple" as const, draftOnCpu: true } },
  ];
  for (const llama of variants) {
    const model = modelSpec("llama-server", "/m.gguf", with_(llama));
    const plan = { ...planFor(model, "/m.gguf", "/e.sock"), device: { ...cpu, vendor: "nvidia" as const } };
    for (const { key, args } of settingArguments({ ...plan, draftPath: "/d.gguf" }))
      expect([key, known?.has(args[0])]).toEqual([key, true]);
  }
});

describe("tokens guessed ahead", () => {
  test("from the text so far: the same answer, and guesses that were right", async () => {
    await using engine = await EngineProcess.start("llama-server", await chatModelFile(), with_({ speculation }));
    const { body } = await engine.post("/v1/completions", complete);
    expect(body.choices[0].text).toBe(await plainAnswer("llama-server"));
    expect(body.timings.draft_n_accepted).toBeGreaterThan(0);
  });

  test("by a draft model: the same answer, and guesses that were right", async () => {
    const file = await chatModelFile();
    const draft = { ...speculation, method: "draft-simple" as const, draft: { type: "file" as const, path: file } };
    await using engine = await EngineProcess.start("llama-server", file, {
      ...with_({ speculation: draft }),
      draftPath: file,
    });
    const { body } = await engine.post("/v1/completions", complete);
    expect(body.choices[0].text).toBe(await plainAnswer("llama-server"));
    expect(body.timings.draft_n_accepted).toBeGreaterThan(0);
  });
});

describe.each(bothEngines)("settings that %s takes", (id) => {
  let folder = "";
  let adapter = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "adapter-"));
    adapter = join(folder, "adapter.gguf");
    await writeAdapter(adapter);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  test("flash attention and a smaller cache", async () => {
    const small = { cacheTypeK: "q8_0", cacheTypeV: "q8_0", llama: { ...PLAIN_LLAMA, flashAttention: "on" as const } };
    await using engine = await EngineProcess.start(id, await chatModelFile(), { load: small });
    const { status, body } = await engine.post("/v1/completions", complete);
    expect([status, body.choices[0].text.length > 0]).toEqual([200, true]);
  });

  test("an adapter changes the answer", async () => {
    const lora = [{ path: adapter, scale: 1 }];
    const without = await plainAnswer(id);
    await using adapted = await EngineProcess.start(id, await chatModelFile(), with_({ lora }));
    const with1 = (await adapted.post("/v1/completions", complete)).body.choices[0].text;
    expect(with1).not.toBe(without);
    if (id !== "llama-server") return;
    // The scales of one request hold for it alone; in scopes of their own, nothing of it is left for the next one.
    const scoped = (scope: string, fields: object) =>
      adapted.post("/v1/completions", { ...counting, ...fields }, { "x-cache-scope": scope });
    expect((await scoped("off", { lora: [{ id: 0, scale: 0 }] })).body.choices[0].text).toBe(without);
    expect((await scoped("own", {})).body.choices[0].text).toBe(with1);
    expect((await scoped("off", { lora: [{ id: 0, scale: 0 }] })).body.choices[0].text).toBe(without);
  });
});
