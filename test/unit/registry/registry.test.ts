import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import type { Config } from "../../../src/core/config.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { type CloudPreset, type LocalPreset, type Preset, Presets } from "../../../src/models/presets/preset.ts";
import { Registry } from "../../../src/registry/registry.ts";
import { emptyGguf } from "../../support/gguf-writer.ts";
import { modelStoreIn } from "../../support/store.ts";
import { cpuOnly } from "../config/support.ts";

let root: string;
let pulls: string[];
let pullFailure: AssistantError | null;
let env: Record<string, string>;
let presets: Preset[];
const seven: LocalPreset = {
  kind: "local",
  name: "seven",
  file: null,
  repo: "ORG/seven-GGUF",
  filename: "seven-Q4_K_M.gguf",
  licence: null,
  contextLength: 32_768,
  sizeB: 7,
  vramMib: {},
  modelPath: null,
  contextWindow: 2048,
  gpuLayers: 12,
};

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-registry-"));
  await mkdir(join(root, "store"));
  await mkdir(join(root, "models"));
  pulls = [];
  pullFailure = null;
  env = {};
  presets = [seven];
});
afterEach(() => rm(root, { recursive: true, force: true }));

const config = (): Promise<Config> => loadConfig({ env, configFile: join(root, "config.toml"), hardware: cpuOnly() });
const stored = (name: string): Promise<void> => writeFile(join(root, "store", `${name}.gguf`), emptyGguf);
const registry = (): Registry =>
  new Registry({
    env,
    store: modelStoreIn(join(root, "store")),
    config,
    hardware: () => cpuOnly(),
    presets: async () => new Presets(presets, []),
    pull: async (reference, name) => {
      pulls.push(`${reference} as ${name}`);
      if (pullFailure !== null) throw pullFailure;
      await stored(name);
    },
    reload: async () => {},
  });

describe("registering a file", () => {
  it("writes a model file that a restart reads again", async () => {
    const path = join(root, "mine.gguf");
    await writeFile(path, emptyGguf);
    await registry().register("mine", "chat", { modelPath: path, contextWindow: 2048, gpuLayers: 5 });
    const model = (await config()).models.find(({ name }) => name === "mine");
    expect(model).toMatchObject({
      kind: "chat",
      source: { type: "file", path },
      load: { contextTokens: 2048, gpuLayers: 5 },
    });
  });

  it.each([
    ["store/mine.gguf", "mine"],
    ["store/mine/mine.gguf", "mine"],
    ["store/mine", null],
  ])("finds what is called like the model in the store: %s", async (file, source) => {
    await mkdir(join(root, file, ".."), { recursive: true });
    await writeFile(join(root, file), emptyGguf);
    const { model } = await registry().register("mine", "embedding", {});
    expect(model.kind).toBe("embedding");
    expect(model.source).toEqual(
      source === null ? { type: "file", path: join(root, file) } : { type: "catalog", name: source },
    );
  });

  it("is refused without a file, naming what is wrong", async () => {
    await writeFile(join(root, "page.gguf"), "<html>");
    const attempts: [string, string | undefined][] = [
      ["absent", undefined],
      ["gone", join(root, "none.gguf")],
      ["damaged", join(root, "page.gguf")],
      ["relative", "page.gguf"],
    ];
    for (const [name, modelPath] of attempts)
      await expect(registry().register(name, "chat", { modelPath }), name).rejects.toMatchObject({
        code: "invalid_request",
        param: "config.model_path",
      });
    expect((await config()).models).toEqual([]);
  });

  it.each(["../up", ".hidden", "a/b", "", "x".repeat(101), "a b"])("refuses the name %j", async (name) => {
    await expect(registry().register(name, "chat", {})).rejects.toMatchObject({ status: 400, param: "name" });
  });

  it("refuses a name that is taken, as a name, an alias or a file", async () => {
    await stored("mine");
    await registry().register("mine", "chat", {});
    await expect(registry().register("mine", "chat", {})).rejects.toMatchObject({ code: "model_exists", status: 409 });
    await writeFile(join(root, "models/other.toml"), '[chat]\nsource = "mine"\naliases = ["fast"]\n');
    await expect(registry().register("fast", "chat", {})).rejects.toMatchObject({ code: "model_exists" });
    await writeFile(join(root, "models/broken.toml"), "[chat\n");
    await stored("broken");
    await expect(registry().register("broken", "chat", {})).rejects.toMatchObject({ code: "model_exists" });
  });

  it("of several at once lets one through", async () => {
    await stored("mine");
    const all = await Promise.allSettled([1, 2, 3].map(() => registry().register("mine", "chat", {})));
    expect(all.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
  });

  it("refuses a name that another file takes while it is under way", async () => {
    await stored("mine");
    const one = registry();
    const file = join(root, "models/other.toml");
    const other = one.bring("mine", async () => {
      await writeFile(file, '[chat]\nmodel_name = "mine"\nsource = "mine"\n');
      return { file, undo: () => rm(file) };
    });
    await expect(one.register("mine", "chat", {})).rejects.toMatchObject({ code: "model_exists" });
    expect((await other).file).toBe(file);
    expect(existsSync(join(root, "models/mine.toml"))).toBe(false);
  });

  it("leaves nothing behind that cannot be configured", async () => {
    await stored("mine");
    await expect(registry().register("mine", "chat", { contextWindow: 0 })).rejects.toMatchObject({
      status: 400,
    });
    expect(existsSync(join(root, "models/mine.toml"))).toBe(false);
  });
});

describe("registering a preset", () => {
  it("pulls its file under its name, and takes its settings", async () => {
    const { model, warning } = await registry().registerPreset({ preset: "SEVEN", download: true, quantization: null });
    expect(pulls).toEqual(["hf:ORG/seven-GGUF/seven-Q4_K_M.gguf as seven"]);
    expect(model).toMatchObject({ name: "seven", load: { contextTokens: 2048, gpuLayers: 12 } });
    expect(warning).toContain("No GPU was found");
  });

  it("pulls another quantization under a name of its own", async () => {
    const { model } = await registry().registerPreset({ preset: "seven", download: true, quantization: "q8_0" });
    expect(pulls).toEqual(["hf:ORG/seven-GGUF:Q8_0 as seven-q8_0"]);
    expect(model).toMatchObject({ name: "seven", source: { type: "catalog", name: "seven-q8_0" } });
  });

  it("takes what is here without a download, and refuses without it where it is not", async () => {
    await expect(
      registry().registerPreset({ preset: "seven", download: false, quantization: null }),
    ).rejects.toMatchObject({ status: 400, param: "auto_download" });
    await stored("seven");
    await registry().registerPreset({ preset: "seven", download: false, quantization: null });
    expect(pulls).toEqual([]);
  });

  it("pulls what the catalog has from there", async () => {
    presets = [{ ...seven, name: "smollm2" }];
    await registry().registerPreset({ preset: "smollm2", download: true, quantization: null });
    expect(pulls).toEqual(["smollm2 as smollm2"]);
  });

  it("takes the preset's own file", async () => {
    const path = join(root, "own.gguf");
    await writeFile(path, emptyGguf);
    presets = [{ ...seven, modelPath: path }];
    const { model } = await registry().registerPreset({ preset: "seven", download: true, quantization: null });
    expect(model.source).toEqual({ type: "file", path });
    expect(pulls).toEqual([]);
  });

  it("writes nothing when the download fails", async () => {
    pullFailure = new AssistantError("pull_failed", "no source");
    await expect(registry().registerPreset({ preset: "seven", download: true, quantization: null })).rejects.toBe(
      pullFailure,
    );
    expect((await config()).models).toEqual([]);
  });

  it("of an embedding model asks for no more context than it was trained with", async () => {
    const { repo, filename, file, licence } = seven;
    presets = [
      { kind: "embedding", name: "short", repo, filename, file, licence, contextLength: 256, dimensions: 8 },
      { kind: "embedding", name: "long", repo, filename, file, licence, contextLength: 32_768, dimensions: 8 },
    ];
    const contexts = await Promise.all(
      ["short", "long"].map(async (preset) => {
        const { model } = await registry().registerPreset({ preset, download: true, quantization: null });
        return [model.kind, model.load.contextTokens];
      }),
    );
    expect(contexts).toEqual([
      ["embedding", 256],
      ["embedding", 512],
    ]);
  });

  it("is refused for an unknown one, with the nearest", async () => {
    await expect(
      registry().registerPreset({ preset: "sevn", download: true, quantization: null }),
    ).rejects.toMatchObject({ code: "model_not_found", remedy: "Did you mean seven?" });
  });
});

describe("registering a model of a service", () => {
  const far: CloudPreset = {
    kind: "cloud",
    name: "far",
    file: null,
    provider: "google",
    apiKeyVariable: "GEMINI_API_KEY",
    modelName: "gemini-flash-latest",
    apiKey: null,
    baseUrl: null,
    timeoutS: 60,
    maxRetries: null,
  };
  const order = { preset: "far", download: true, quantization: null };
  beforeEach(() => {
    presets = [far];
  });

  it("needs its key", async () => {
    await expect(registry().registerPreset(order)).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining("GEMINI_API_KEY is not set"),
    });
    expect(existsSync(join(root, "config.toml"))).toBe(false);
  });

  it("adds a provider that offers nothing else, and takes either name of the key", async () => {
    env = { GOOGLE_API_KEY: "k" };
    const { model } = await registry().registerPreset(order);
    expect(model.source).toEqual({ type: "provider", offers: [{ provider: "google", model: "gemini-flash-latest" }] });
    const { providers } = await config();
    expect(providers).toMatchObject([
      { name: "google", type: "google", apiKey: "k", discovery: false, silenceTimeoutMs: 60_000 },
    ]);
    expect(await registry().providerOf(model)).toBe("google");
  });

  it("takes a provider that is there already", async () => {
    env = { GEMINI_API_KEY: "k" };
    await registry().registerPreset(order);
    presets = [{ ...far, name: "other", modelName: "gemini-pro-latest" }];
    await registry().registerPreset({ ...order, preset: "other" });
    expect((await config()).providers).toHaveLength(1);
  });

  it("keeps a key that it was given in a file of this user's, and everything else of config.toml", async () => {
    await writeFile(join(root, "config.toml"), '# mine\n[server]\nhttp_addr = "127.0.0.1:1"\n');
    const { model } = await registry().registerCloud({
      ...far,
      provider: "openai_compatible",
      baseUrl: "https://example.com/v1/",
      apiKey: "sk-secret",
      apiKeyVariable: null,
    });
    const text = await readFile(join(root, "config.toml"), "utf8");
    expect(text).toMatch(/^# mine\n\[server\]\nhttp_addr/);
    expect(text).not.toContain("sk-secret");
    expect((await stat(join(root, "provider-keys/far.key"))).mode & 0o777).toBe(0o600);
    expect((await config()).providers).toMatchObject([
      { name: "far", baseUrl: "https://example.com/v1", apiKey: "sk-secret" },
    ]);
    expect(await registry().providerOf(model)).toBe("openai_compatible");
  });

  it.each([
    [{ baseUrl: null }, "config.base_url"],
    [{ baseUrl: "example.com" }, "config.base_url"],
    [{ baseUrl: "https://:secret@example.com/v1" }, "config.base_url"],
    [{ baseUrl: "https://example.com/v1?key=1" }, "config.base_url"],
    [{ apiKey: "two\nlines" }, "config.api_key"],
  ])("refuses %j", async (change, param) => {
    const model = { ...far, provider: "litellm", baseUrl: "https://example.com/v1", apiKey: "k", ...change } as const;
    await expect(registry().registerCloud(model)).rejects.toMatchObject({ status: 400, param });
    expect(existsSync(join(root, "models/far.toml"))).toBe(false);
  });

  it("undoes what the configuration refuses", async () => {
    const before = "providers = []\n";
    await writeFile(join(root, "config.toml"), before);
    env = { GEMINI_API_KEY: "k" };
    await expect(registry().registerPreset(order)).rejects.toMatchObject({ status: 400 });
    expect(await readFile(join(root, "config.toml"), "utf8")).toBe(before);
    expect(existsSync(join(root, "models/far.toml"))).toBe(false);
  });

  it("refuses a kind that nothing here speaks", async () => {
    presets = [{ ...far, provider: "custom" }];
    await expect(registry().registerPreset(order)).rejects.toMatchObject({ status: 400, param: "provider" });
  });
});

describe("deleting", () => {
  it("takes the model's file and leaves its weights", async () => {
    await stored("mine");
    const { file } = await registry().register("mine", "chat", {});
    await registry().unregister("mine");
    expect(existsSync(file)).toBe(false);
    expect(existsSync(join(root, "store/mine.gguf"))).toBe(true);
    await expect(registry().unregister("mine")).rejects.toMatchObject({ code: "model_not_found" });
  });

  it("leaves a file alone that has other models too", async () => {
    await stored("a");
    const file = join(root, "models/both.toml");
    await writeFile(file, '[chat]\nmodel_name = "a"\nsource = "a"\n[embedding]\nmodel_name = "b"\nsource = "a"\n');
    await expect(registry().unregister("a")).rejects.toMatchObject({
      status: 400,
      message: expect.stringContaining("together with b"),
    });
    expect(await readFile(file, "utf8")).toContain("[chat]");
  });
});
