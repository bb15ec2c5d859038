import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadConfig } from "../../../src/config/load.ts";
import type { Config } from "../../../src/core/config.ts";
import type { ModelSpec } from "../../../src/core/model.ts";
import { readGguf } from "../../../src/models/gguf-header.ts";
import type { PulledModel } from "../../../src/models/pull.ts";
import { Uploads } from "../../../src/models/uploads.ts";
import { Library } from "../../../src/registry/library.ts";
import { Registry } from "../../../src/registry/registry.ts";
import { emptyGguf } from "../../support/gguf-writer.ts";
import { modelStoreIn } from "../../support/store.ts";
import { cpuOnly } from "../config/support.ts";

let root: string;
let current: Config;
let imports: number;
let library: Library;

const RIVER = '# mine\n[chat]\nmodel_name = "river"\nsource = "river"\nctx_size = 768\nthreads = 1\n';
const fileOf = (name: string): string => join(root, "models", `${name}.toml`);
const text = (name: string): Promise<string> => readFile(fileOf(name), "utf8");
const write = async (name: string, content: string): Promise<void> => {
  await writeFile(fileOf(name), content);
  await load();
};
const load = async (): Promise<void> => {
  current = await loadConfig({ env: {}, configFile: join(root, "config.toml"), hardware: cpuOnly() });
};
const find = (name: string): ModelSpec | undefined => current.models.find((model) => model.name === name);
const river = (): ModelSpec => {
  const model = find("river");
  if (model === undefined) throw new Error("river is not configured");
  return model;
};

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-library-"));
  await mkdir(join(root, "store"));
  await mkdir(join(root, "models"));
  await writeFile(join(root, "store/river.gguf"), emptyGguf);
  const store = modelStoreIn(join(root, "store"));
  imports = 0;
  const registry = new Registry({
    env: {},
    store,
    config: () => current,
    hardware: () => cpuOnly(),
    presets: () => Promise.reject(new Error("not asked for")),
    pull: () => Promise.reject(new Error("not asked for")),
    reload: load,
  });
  library = new Library({
    store,
    readHeader: readGguf,
    uploads: new Uploads(store),
    registry,
    config: () => current,
    importFile: () => {
      imports++;
      return Promise.reject(new Error("not asked for"));
    },
  });
  await write("river", RIVER);
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe("a model made of another", () => {
  it("has its settings, and those that are asked for", async () => {
    await library.derive(river(), "brook", "brook", { temp: 0.3 });
    expect(find("brook")).toMatchObject({ load: { contextTokens: 768, threads: 1 }, sampling: { temperature: 0.3 } });
    expect(await text("river")).toBe(RIVER);
  });

  it("takes the place of one that was made so", async () => {
    await library.derive(river(), "brook", "brook", { temp: 0.3 });
    await library.derive(river(), "brook", "brook", { ctx_size: 512 });
    expect(find("brook")).toMatchObject({ load: { contextTokens: 512 } });
    expect(await text("brook")).not.toContain("temp");
  });

  it.each([
    ["another model", '[chat]\nmodel_name = "mini"\nsource = "river"\n'],
    ["two models", '[chat]\nmodel_name = "brook"\nsource = "river"\n[embedding]\nmodel_name = "b"\nsource = "river"\n'],
    ["no model", "[server]\n"],
    ["a model without a name", '[chat]\nsource = "river"\n'],
    ["what is not TOML", "[chat\n"],
    ["what no model file has", '[chat]\nmodel_name = "brook"\nsource = "river"\nwarp = 1\n'],
    ["nothing", ""],
  ])("leaves a file alone that holds %s", async (_, content) => {
    await write("brook", content);
    await expect(library.derive(river(), "brook", "brook", {})).rejects.toMatchObject({
      code: "model_exists",
      message: expect.stringContaining(fileOf("brook")),
    });
    expect(await text("brook")).toBe(content);
  });

  it("leaves a file alone whose text has changed since it was read", async () => {
    await library.derive(river(), "brook", "brook", {});
    await writeFile(fileOf("brook"), "[chat\n");
    await expect(library.derive(river(), "brook", "brook", {})).rejects.toMatchObject({ code: "model_exists" });
    expect(await text("brook")).toBe("[chat\n");
  });

  it("is not made of a file that is broken now", async () => {
    const before = river();
    await writeFile(fileOf("river"), "[chat\n");
    await expect(library.derive(before, "brook", "brook", {})).rejects.toMatchObject({ status: 400, param: "from" });
    expect(existsSync(fileOf("brook"))).toBe(false);
  });

  it("of several copies at once is made once", async () => {
    const all = await Promise.allSettled([1, 2, 3, 4].map(() => library.derive(river(), "copy", "copy", null)));
    const refused = all.flatMap((each) => (each.status === "rejected" ? [each.reason as { status: number }] : []));
    expect(refused.map(({ status }) => status)).toEqual([409, 409, 409]);
  });
});

it("a model of a file that was sent is refused before the file is taken in, where the name is not to be had", async () => {
  const uploads = join(root, "store/.uploads");
  await mkdir(uploads);
  await writeFile(join(uploads, "0".repeat(64)), emptyGguf);
  await write("brook", "[chat\n");
  for (const name of ["river", "brook"])
    await expect(library.create(name, "0".repeat(64), {})).rejects.toMatchObject({ status: 409 });
  expect(imports).toBe(0);
});

it("weights that somebody has made a model of meanwhile are not deleted with the attempt that brought them", async () => {
  const store = modelStoreIn(join(root, "store"));
  const weights = join(root, "store/brook.gguf");
  const slower = new Library({
    store,
    readHeader: readGguf,
    uploads: { find: async () => "/uploads/1", discard: async () => {} } as unknown as Uploads,
    registry: { configure: () => Promise.reject(new Error("it is configured")) } as unknown as Registry,
    config: () => current,
    importFile: async () => {
      await writeFile(weights, emptyGguf);
      // Another request is faster.
      await write("brook", RIVER.replaceAll("river", "brook"));
      return { alreadyPresent: false } as PulledModel;
    },
  });
  await expect(slower.create("brook", "0".repeat(64), {})).rejects.toThrow();
  expect(existsSync(weights)).toBe(true);
});
