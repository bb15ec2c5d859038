import { readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { resolvePaths } from "../../../src/config/paths.ts";
import {
  ensureConfig,
  ensureModelConfig,
  renderConfig,
  renderModelConfig,
  writeNew,
} from "../../../src/config/write.ts";
import { cpuOnly, model, site, withGpus } from "./support.ts";

describe.each([
  ["a small machine", cpuOnly(2, 2)],
  ["a CPU", cpuOnly(2, 24)],
  ["one GPU", withGpus(1, 24)],
  ["eight GPUs", withGpus(8)],
])("what init writes for %s", (_name, hardware) => {
  it("loads again without a single notice", async () => {
    await using at = await site({
      "config.toml": await renderConfig(hardware),
      "models/smollm2.toml": await renderModelConfig({ name: "smollm2", source: "smollm2", hardware }),
      "models/embed.toml": await renderModelConfig({ name: "embed", source: "/w/e.gguf", kind: "embedding", hardware }),
    });
    const config = await at.load({ hardware });
    expect(config.notices).toEqual([]);
    expect(config.models.map(({ name, kind }) => [name, kind])).toEqual([
      ["embed", "embedding"],
      ["smollm2", "chat"],
    ]);
  });

  it("explains every value with a comment", async () => {
    const text = await renderModelConfig({ name: "m", source: "smollm2", hardware });
    const lines = text.split("\n");
    for (const [index, line] of lines.entries()) {
      // ubatch_size shares the comment of batch_size above it.
      if (/^\w+ = /.test(line) && !line.startsWith("ubatch_size")) expect(lines[index - 1], line).toMatch(/^# \S/);
    }
    expect(text).not.toContain("{{");
    expect(text).not.toMatch(/undefined|NaN|Infinity/);
  });
});

it("values fit the machine", async () => {
  const load = async (hardware: ReturnType<typeof cpuOnly>) => {
    await using at = await site({
      "config.toml": await renderConfig(hardware),
      "models/m.toml": await renderModelConfig({ name: "m", source: "smollm2", hardware }),
    });
    const config = await at.load({ hardware });
    return { scheduler: config.scheduler, spec: model(config, "m") };
  };
  const cpu = await load(cpuOnly(2, 24));
  expect(cpu.spec).toMatchObject({
    devices: ["cpu"],
    load: { threads: 2, gpuLayers: 0, contextTokens: 4096, slots: 4, batchTokens: 72 },
  });
  expect(cpu.scheduler).toMatchObject({ threadBudget: 2, maxInstances: 12 });
  const gpu = await load(withGpus(8));
  // Any GPU, and the CPU while no engine can use one.
  expect(gpu.spec.devices).toEqual([]);
  expect(gpu.spec.load).toMatchObject({ threads: 4, contextTokens: 8192, slots: 8, batchTokens: 2048, gpuLayers: 100 });
  expect(gpu.scheduler.maxInstances).toBeGreaterThanOrEqual(8);
  expect((await load(cpuOnly(1, 2))).spec.load).toMatchObject({ contextTokens: 2048, slots: 2 });
});

it("names and paths with quotes and backslashes survive", async () => {
  const source = '/w/a "quoted" \\ päth.gguf';
  await using at = await site({ "models/m.toml": await renderModelConfig({ name: "m", source, hardware: cpuOnly() }) });
  expect(model(await at.load(), "m").source).toEqual({ type: "file", path: source });
});

it.each(["../evil", "a/b", "", ".hidden", "a b"])("the name %j never becomes a path", async (name) => {
  await expect(renderModelConfig({ name, source: "smollm2", hardware: cpuOnly() })).rejects.toMatchObject({
    code: "usage",
  });
});

it("files are written once and then left alone", async () => {
  await using at = await site({});
  const paths = resolvePaths({ HOME: at.root }, { configFile: at.file("deep/er/config.toml") });
  const order = { name: "m", source: "smollm2", hardware: cpuOnly() };
  expect(await ensureConfig(paths, cpuOnly())).toEqual({ file: paths.configFile, written: true });
  expect(await ensureModelConfig(paths, order)).toEqual({ file: at.file("deep/er/models/m.toml"), written: true });
  await writeFile(paths.configFile, "# mine\n");
  expect((await ensureConfig(paths, cpuOnly())).written).toBe(false);
  expect((await ensureModelConfig(paths, order)).written).toBe(false);
  expect(await readFile(paths.configFile, "utf8")).toBe("# mine\n");
});

it("an existing file is an error that names it, unless forced", async () => {
  await using at = await site({ "x.toml": "# mine\n" });
  const file = at.file("x.toml");
  await expect(writeNew(file, "new\n", { force: false })).rejects.toMatchObject({
    code: "file_exists",
    exitCode: 1,
    message: expect.stringContaining(file),
  });
  expect(await readFile(file, "utf8")).toBe("# mine\n");
  await symlink(file, at.file("link.toml"));
  await writeNew(at.file("link.toml"), "new\n", { force: true });
  expect(await readFile(file, "utf8")).toBe("new\n");
  expect((await readdir(at.root)).sort()).toEqual(["link.toml", "x.toml"]);
});

it("of many writers at once exactly one writes", async () => {
  await using at = await site({});
  const paths = resolvePaths({ HOME: at.root }, { configFile: at.configFile });
  const results = await Promise.all(Array.from({ length: 8 }, () => ensureConfig(paths, cpuOnly())));
  expect(results.filter(({ written }) => written)).toHaveLength(1);
  expect(await readdir(at.root)).toEqual(["config.toml"]);
});

it("a file in the way of a directory is told", async () => {
  await using at = await site({ file: "" });
  await expect(writeNew(at.file("file/config.toml"), "", { force: false })).rejects.toMatchObject({
    code: "not_writable",
  });
});
