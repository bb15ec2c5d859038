import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { catalog } from "../../../../src/models/catalog.ts";
import { loadPresets } from "../../../../src/models/presets/load.ts";
import type { LocalPreset, Presets } from "../../../../src/models/presets/preset.ts";
import { PresetShelf } from "../../../../src/models/presets/shelf.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-presets-"));
});
afterEach(() => rm(root, { recursive: true, force: true }));

const load = (env: Record<string, string> = {}): Promise<Presets> =>
  loadPresets({ configFile: join(root, "config.toml") }, env);

async function write(name: string, text: string): Promise<string> {
  const file = join(root, name);
  await mkdir(join(file, ".."), { recursive: true });
  await writeFile(file, text);
  return file;
}

/** As the reference system writes it. */
const REFERENCE = `
models:
  - name: "house-model"
    huggingface_repo: "ORG/house-model-GGUF"
    filename: "house-model-q5_k_m.gguf"
    size_b: 7.0
    vram_requirements:
      q4_k_m: 5000
      q5_k_m: 6000
      q8_0: 8500
      fp16: 15000
    provider_config:
      model_path: null
      context_window: 8192
      gpu_layers: -1
`;

describe("the presets that come with Assistant", () => {
  it("are read without a word, and hold the catalog", async () => {
    const presets = await load();
    expect(presets.notices).toEqual([]);
    for (const { name, licence, sources } of catalog.filter(({ kind }) => kind === "chat")) {
      expect(presets.find(name)).toMatchObject({ licence });
      const [{ repo, filename }] = presets.all.filter((preset) => preset.name === name) as [LocalPreset];
      expect(sources).toContainEqual({ type: "huggingface", repo, file: filename });
    }
  });

  it("have a repository, a file, a licence and a context for every local model", async () => {
    for (const preset of (await load()).ofKind("local")) {
      expect(preset.filename, preset.name).toMatch(/\.gguf$/);
      expect(preset.licence, preset.name).not.toBeNull();
      expect(preset.contextLength, preset.name).toBeGreaterThanOrEqual(4096);
    }
  });

  it("take the keys of services from the environment", async () => {
    for (const { name, apiKey, apiKeyVariable } of (await load()).ofKind("cloud")) {
      expect(apiKey, name).toBeNull();
      expect(apiKeyVariable, name).toMatch(/_API_KEY$/);
    }
  });
});

describe("a folder of the user's", () => {
  it.each(["presets/local.yaml", "presets/local_models.yaml", "presets/local.yml"])("is read: %s", async (name) => {
    const file = await write(name, REFERENCE);
    const { notices, ...presets } = await load();
    expect(notices).toEqual([]);
    expect(presets.all.find((preset) => preset.name === "house-model")).toEqual({
      kind: "local",
      name: "house-model",
      file,
      repo: "ORG/house-model-GGUF",
      filename: "house-model-q5_k_m.gguf",
      licence: null,
      contextLength: null,
      sizeB: 7,
      vramMib: { q4_k_m: 5000, q5_k_m: 6000, q8_0: 8500, fp16: 15000 },
      modelPath: null,
      contextWindow: 8192,
      gpuLayers: -1,
    });
  });

  it("is read for services and embeddings too", async () => {
    await write(
      "presets/cloud_models.yaml",
      "models:\n  - name: house\n    provider: openai\n    api_key_env_var: HOUSE_KEY\n    provider_config: {model_name: h1, base_url: null, timeout: 600, max_retries: 3, keep_alive: 5m}\n",
    );
    await write(
      "presets/embedding_models.yaml",
      "models:\n  - {name: vectors, huggingface_repo: ORG/vectors, dimensions: 12}\n",
    );
    const presets = await load();
    expect(presets.notices).toEqual([]);
    expect(presets.find("house")).toMatchObject({ provider: "openai", modelName: "h1", timeoutS: 600, maxRetries: 3 });
    expect(presets.find("vectors")).toMatchObject({ dimensions: 12, filename: null });
  });

  it("wins by name, and HF_PRESETS_DIR over it", async () => {
    const entry = (repo: string): string =>
      `models:\n  - {name: Qwen3-8B, huggingface_repo: ${repo}, filename: a.gguf, size_b: 1}\n`;
    await write("presets/local.yaml", entry("MY/one"));
    expect((await load()).find("qwen3-8b")).toMatchObject({ repo: "MY/one" });
    await write("elsewhere/local_models.yaml", entry("MY/two"));
    const { all, notices } = await load({ HF_PRESETS_DIR: join(root, "elsewhere") });
    expect(notices).toEqual([]);
    expect(all.filter(({ name }) => name.toLowerCase() === "qwen3-8b")).toMatchObject([{ repo: "MY/two" }]);
  });

  it("that HF_PRESETS_DIR names and that is not there is told", async () => {
    const { notices, all } = await load({ HF_PRESETS_DIR: join(root, "none") });
    expect(notices).toMatchObject([{ severity: "warning", file: join(root, "none") }]);
    expect(all.length).toBeGreaterThan(0);
  });
});

describe("a file with mistakes", () => {
  it("that is no YAML is told with its line, and stops nothing", async () => {
    const file = await write("presets/local.yaml", "models:\n  - name: a\n   size_b: [\n");
    await write(
      "presets/cloud.yaml",
      "models:\n  - {name: mine, provider: openai, provider_config: {model_name: x}}\n",
    );
    const presets = await load();
    expect(presets.notices).toMatchObject([{ severity: "warning", file, line: 3 }]);
    expect(presets.find("mine")).not.toBeNull();
    expect(presets.find("qwen3-8b")).not.toBeNull();
  });

  it.each([
    ["models: 5\n", "expected a list of presets"],
    ["- name: a\n", "expected a list of presets"],
    ["", "expected a list of presets"],
    ["models:\n  - 7\n", "expected a table"],
  ])("is told what was expected: %j", async (text, message) => {
    await write("presets/local.yaml", text);
    expect((await load()).notices.map((notice) => notice.message).join()).toContain(message);
  });

  it.each([
    ["name: ../x, huggingface_repo: A/b, size_b: 1", "name"],
    ["name: x, huggingface_repo: nothing, size_b: 1", "huggingface_repo"],
    ["name: x, huggingface_repo: A/../b, size_b: 1", "huggingface_repo"],
    ["name: x, huggingface_repo: A/b, filename: ../../x.gguf, size_b: 1", "filename"],
    ["name: x, huggingface_repo: A/b, size_b: 0", "size_b"],
    ["name: x, huggingface_repo: A/b, size_b: 1, provider_config: {context_window: 100}", "context_window"],
    ["name: x, huggingface_repo: A/b, size_b: 1, provider_config: {context_window: 200000}", "context_window"],
  ])("leaves the wrong entry out and keeps the others: %s", async (entry, key) => {
    await write("presets/local.yaml", `models:\n  - {${entry}}\n  - {name: good, huggingface_repo: A/b, size_b: 1}\n`);
    const presets = await load();
    expect(presets.notices).toMatchObject([{ line: 2, key: expect.stringContaining(key) }]);
    expect(presets.find("good")).not.toBeNull();
    expect(presets.find("x")).toBeNull();
  });

  it("says which fields it ignores", async () => {
    await write(
      "presets/local.yaml",
      "models:\n  - {name: good, huggingface_repo: A/b, size_b: 1, colour: red, provider_config: {warp: 9}}\n",
    );
    const presets = await load();
    expect(presets.find("good")).not.toBeNull();
    expect(presets.notices.map(({ key }) => key)).toEqual(["models[0].colour", "models[0].provider_config.warp"]);
  });

  it("never shows a key", async () => {
    await write(
      "presets/cloud.yaml",
      "models:\n  - {name: x, provider: openai, provider_config: {model_name: m, api_key: [sk-secret]}}\n",
    );
    const { notices } = await load();
    expect(notices).toHaveLength(1);
    expect(JSON.stringify(notices)).not.toContain("sk-secret");
  });

  it("cannot give the catalog's name to something else", async () => {
    await write("presets/local.yaml", "models:\n  - {name: smollm2, huggingface_repo: A/b, size_b: 1}\n");
    const { notices, ...presets } = await load();
    expect(notices).toMatchObject([{ line: 2, key: "models[0].name" }]);
    expect(presets.all.find(({ name }) => name === "smollm2")).toMatchObject({ file: null });
  });

  it("that is too large is not read", async () => {
    await write("presets/local.yaml", `# ${"x".repeat(1024 * 1024)}\nmodels: []\n`);
    expect((await load()).notices[0]?.message).toContain("at most 1 MiB");
  });

  it("that has another name is told", async () => {
    await write("presets/mine.yaml", "models: []\n");
    expect((await load()).notices[0]?.message).toContain("expected local.yaml");
  });
});

it("a daemon sees a changed file at the next look", async () => {
  const shelf = new PresetShelf({ configFile: join(root, "config.toml") }, {});
  await shelf.look();
  expect(shelf.notices).toEqual([]);
  await write("presets/local.yaml", "models: 5\n");
  await shelf.look();
  expect(shelf.notices).toHaveLength(1);
  await write("presets/local.yaml", REFERENCE);
  expect((await shelf.presets()).find("house-model")).not.toBeNull();
  await rm(join(root, "presets"), { recursive: true });
  await shelf.look();
  expect(shelf.notices).toEqual([]);
});
