import { describe, expect, it } from "vitest";
import type { LoadOptions } from "../../../src/config/load.ts";
import type { ModelSpec } from "../../../src/core/model.ts";
import { cpuOnly, model, noticeLines, site, withGpus } from "./support.ts";

/** Loads one section and returns its model, if it has one, and the notices. */
async function read(
  section: string,
  options: Partial<LoadOptions> = {},
  kind = "chat",
): Promise<{ spec: ModelSpec | null; notices: string[] }> {
  await using at = await site({ "models/m.toml": `[${kind}]\nsource = "smollm2"\n${section}` });
  const config = await at.load(options);
  return { spec: config.models.length === 0 ? null : model(config, "m"), notices: noticeLines(config, at) };
}

const gpus = { hardware: withGpus(2) };

describe("batches", () => {
  it.each([
    [1, "", 72],
    [6, "", 72],
    [16, "", 192],
    [128, "", 512],
    [1, "slots = 32\n", 96],
  ])("on a CPU with %i cores and the setting %j a batch is %i tokens", async (cores, setting, batch) => {
    const { spec } = await read(setting, { hardware: cpuOnly(cores) });
    expect(spec?.load).toMatchObject({ batchTokens: batch, microBatchTokens: batch });
  });

  it("on a GPU they are large, unless the model stays on the CPU", async () => {
    expect((await read("", gpus)).spec?.load).toMatchObject({ batchTokens: 2048, microBatchTokens: 512 });
    expect((await read('devices = ["cpu"]\n', gpus)).spec?.load.batchTokens).toBe(512);
  });

  it("a micro-batch alone raises the batch, and a batch alone bounds the micro-batch", async () => {
    expect((await read("ubatch_size = 256\n")).spec?.load).toMatchObject({ batchTokens: 256, microBatchTokens: 256 });
    expect((await read("batch_size = 256\n", gpus)).spec?.load).toMatchObject({
      batchTokens: 256,
      microBatchTokens: 256,
    });
  });

  it("an embedding's micro-batch holds its longest input, and says so where it was made smaller", async () => {
    expect((await read("ctx_size = 2048\n", {}, "embedding")).spec?.load).toMatchObject({
      batchTokens: 2048,
      microBatchTokens: 2048,
    });
    const small = await read("ctx_size = 2048\nubatch_size = 512\n", {}, "embedding");
    expect(small.spec?.load.microBatchTokens).toBe(512);
    expect(small.notices).toEqual([
      expect.stringMatching(
        /embedding\.ubatch_size: inputs above 512 tokens will be refused .*write `ubatch_size = 2048`/,
      ),
    ]);
  });
});

describe("threads", () => {
  it("are auto by default and honoured up to the cores", async () => {
    expect((await read("")).spec?.load.threads).toBe("auto");
    expect((await read("threads = 3\n")).spec?.load.threads).toBe(3);
    const many = await read("threads = 9\n");
    expect(many.spec?.load.threads).toBe(4);
    expect(many.notices).toEqual([
      expect.stringMatching(
        /^warning models\/m\.toml:3: chat\.threads: 9 threads on 4 cores .*write `threads = "auto"`/,
      ),
    ]);
  });

  it("of all instances are the physical cores unless the file says otherwise", async () => {
    await using at = await site({ "config.toml": "[scheduler]\nthread_budget = 3\n" });
    expect((await at.load()).scheduler.threadBudget).toBe(3);
    await using over = await site({ "config.toml": "[scheduler]\nthread_budget = 30\n" });
    const config = await over.load();
    expect(config.scheduler.threadBudget).toBe(30);
    expect(noticeLines(config, over)).toEqual([expect.stringContaining("30 threads on 8 logical cores")]);
  });
});

describe("devices", () => {
  it("main_gpu becomes the device, as an instance sees one GPU", async () => {
    const { spec, notices } = await read("main_gpu = 1\n", gpus);
    expect(spec).toMatchObject({ devices: ["cuda:1"], load: { mainGpu: 0 } });
    expect(notices).toEqual([]);
    const beyond = await read("main_gpu = 5\n", gpus);
    expect(beyond.spec?.devices).toEqual([]);
    expect(beyond.notices).toEqual([
      expect.stringMatching(/chat\.main_gpu: this machine has 2 GPUs, so there is no GPU 5/),
    ]);
  });

  it("that the machine lacks are told with the nearest one", async () => {
    const { notices } = await read('devices = ["cuda:0", "cuda:7"]\n', gpus);
    expect(notices).toEqual([
      expect.stringMatching(
        /this machine has no device "cuda:7"; it has cuda:0, cuda:1, cpu \(did you mean "cuda:0"\?\)/,
      ),
    ]);
  });

  it("cannot be checked without a probe, and then are not", async () => {
    expect((await read('devices = ["cuda:7"]\nmain_gpu = 3\n', { hardware: undefined })).notices).toEqual([]);
  });

  it("a split over several GPUs is told to have no effect", async () => {
    expect((await read("tensor_split = [3, 1]\n", gpus)).spec?.load.tensorSplit).toEqual([3, 1]);
    const text = await read('tensor_split = "3,1"\n', gpus);
    expect(text.spec?.load.tensorSplit).toEqual([3, 1]);
    expect(text.notices).toEqual([expect.stringContaining("each instance runs on one GPU")]);
    expect((await read('tensor_split = "a,b"\n')).spec).toBeNull();
  });
});

describe("what contradicts itself is refused", () => {
  it.each([
    ["mmap = true\nno_mmap = true\n", "chat.no_mmap: contradicts `mmap = true`"],
    ["grammar = 'root ::= \"a\"'\njson_schema = '{}'\n", "chat.grammar: an answer cannot be made to match both"],
    ["json_schema = '{'\n", "chat.json_schema: expected JSON"],
    ["json_schema = '3'\n", "chat.json_schema: expected a JSON Schema, which is a JSON object"],
    ['engine = "node-llama-cpp"\nextra_args = ["--jinja"]\n', "chat.extra_args: they are arguments of llama-server"],
  ])("%j", async (section, expected) => {
    const { spec, notices } = await read(section);
    expect(spec).toBeNull();
    expect(notices).toEqual([expect.stringContaining(expected)]);
    expect(notices[0]).toMatch(/^error .*The model "m" is left out$/);
  });
});

it("keys that do nothing for embeddings warn where they are set to something", async () => {
  const { spec, notices } = await read('temp = 0.2\nprompt_template = "embedding"\nn_predict = -1\n', {}, "embedding");
  expect(spec?.sampling.temperature).toBeNull();
  expect(notices).toEqual([expect.stringMatching(/^warning .*embedding\.temp: has no effect on an embedding model/)]);
});

it("names of other systems' templates become llama.cpp's", async () => {
  expect((await read('prompt_template = "mistral-instruct"\n')).spec?.load.chatTemplate).toBe("mistral-v1");
  expect((await read('prompt_template = ""\n')).spec?.load.chatTemplate).toBe("");
});

it("idleness: five minutes, or never with -1; a stop text; all layers with -1", async () => {
  expect((await read("")).spec?.idleTtlMs).toBe(300_000);
  expect((await read("idle_ttl_s = -1\n")).spec?.idleTtlMs).toBeNull();
  expect((await read("idle_ttl_s = 0\n")).spec?.idleTtlMs).toBe(0);
  expect((await read('reverse_prompt = "User:"\n')).spec?.sampling.stop).toEqual(["User:"]);
  expect((await read("n_gpu_layers = -1\n")).spec?.load.gpuLayers).toBeGreaterThan(200);
});

it("the cache in host memory fits the machine", async () => {
  expect((await read("", { hardware: cpuOnly(4, 16) })).spec?.load.hostCacheMib).toBe(2048);
  expect((await read("", { hardware: withGpus(8) })).spec?.load.hostCacheMib).toBe(8192);
  expect((await read("host_cache_mib = 0\n")).spec?.load.hostCacheMib).toBe(0);
});

it("a cache in host memory that exceeds what all instances together may use is told of", async () => {
  expect((await read("host_cache_mib = 2048\n", { hardware: cpuOnly(4, 16) })).notices).toEqual([]);
  const { spec, notices } = await read("host_cache_mib = 4096\n", { hardware: cpuOnly(4, 16) });
  expect(spec?.load.hostCacheMib).toBe(4096);
  expect(notices).toEqual([
    expect.stringMatching(
      /^warning models\/m\.toml:3: chat\.host_cache_mib: 4096 MiB is more than .*2048 MiB; .*host_cache_budget_mib/,
    ),
  ]);
});

it("a configuration is frozen to its leaves", async () => {
  await using at = await site({ "models/m.toml": '[chat]\nsource = "smollm2"\n' });
  const config = await at.load();
  expect(() => Object.assign(config.models[0]?.load ?? {}, { slots: 9 })).toThrow(TypeError);
  expect(() => (config.models as ModelSpec[]).pop()).toThrow(TypeError);
});

it("a missing file means defaults, with a word only where it was asked for", async () => {
  await using at = await site({});
  const asked = await at.load();
  expect(asked.models).toEqual([]);
  expect(noticeLines(asked, at)).toEqual([
    expect.stringMatching(/^warning config\.toml: this configuration file does not exist/),
  ]);
  expect((await at.load({ configFile: undefined })).notices).toEqual([]);
  expect(
    (await at.load({ configFile: undefined, env: { ASSISTANT_CONFIG: at.file(".config/assistant/config.toml") } }))
      .notices,
  ).toEqual([]);
});

it("pooling that the API cannot answer with is refused when the file is read", async () => {
  await using at = await site({ "models/m.toml": '[embedding]\nsource = "mini"\npooling = "none"\n' });
  const config = await at.load();
  expect(config.models).toEqual([]);
  expect(noticeLines(config, at)[0]).toMatch(
    /^error models\/m\.toml:3: embedding\.pooling: with "none" .*expected "mean", "cls", "last" or "rank"/,
  );
});
