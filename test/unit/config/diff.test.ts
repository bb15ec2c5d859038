import { expect, it } from "vitest";
import { diffModels, restartSettings } from "../../../src/config/diff.ts";
import type { Config } from "../../../src/core/config.ts";
import { site } from "./support.ts";

const names = (diff: ReturnType<typeof diffModels>): Record<string, string[]> =>
  Object.fromEntries(
    Object.entries(diff).map(([list, models]) => [list, models.map(({ name }: { name: string }) => name)]),
  );

async function loaded(models: Readonly<Record<string, string>>, main = ""): Promise<Config> {
  const files = Object.entries(models).map(([name, keys]) => [
    `models/${name}.toml`,
    `[chat]\nsource = "smollm2"\n${keys}`,
  ]);
  await using at = await site({ "config.toml": main, ...Object.fromEntries(files) });
  const config = await at.load();
  // Each site has a directory of its own, which must not count as a change.
  return { ...config, models: config.models.map((model) => ({ ...model, file: model.file.replace(at.root, "") })) };
}

const nothing = { added: [], removed: [], restart: [], updated: [] };

it("the same files make no work", async () => {
  expect(
    names(diffModels(await loaded({ a: "", b: "slots = 2\n" }), await loaded({ a: "", b: "slots = 2\n" }))),
  ).toEqual(nothing);
});

it("models come and go without touching the others", async () => {
  expect(names(diffModels(await loaded({ a: "", b: "" }), await loaded({ a: "", c: "" })))).toEqual({
    ...nothing,
    added: ["c"],
    removed: ["b"],
  });
});

it.each([
  "slots = 2",
  "ctx_size = 128",
  "temp = 0.1",
  'engine = "llama-server"',
  'devices = ["cpu"]',
  "threads = 1",
  "no_mmap = true",
  'extra_args = ["--x"]',
  "n_predict = 7",
])("%s restarts the model that has it", async (key) => {
  expect(names(diffModels(await loaded({ a: "", b: "" }), await loaded({ a: "", b: `${key}\n` })))).toEqual({
    ...nothing,
    restart: ["b"],
  });
});

it.each(["idle_ttl_s = 7", "preload = true", "pin = true", "replicas = 2", 'aliases = ["z"]', "include_usage = true"])(
  "%s needs no restart",
  async (key) => {
    expect(names(diffModels(await loaded({ a: "", b: "" }), await loaded({ a: "", b: `${key}\n` })))).toEqual({
      ...nothing,
      updated: ["b"],
    });
  },
);

it("another llama-server restarts the models that it may run", async () => {
  const models = { a: "", b: 'engine = "node-llama-cpp"\n' };
  expect(
    names(
      diffModels(await loaded(models), await loaded(models, '[engine]\nllama_server_path = "/opt/llama-server"\n')),
    ),
  ).toEqual({
    ...nothing,
    restart: ["a"],
  });
});

it("the daemon needs a restart for addresses and limits, not for models", async () => {
  await using at = await site({ "config.toml": "" });
  const base = await at.load();
  const needs = async (options: Parameters<typeof at.load>[0]) => restartSettings(base, await at.load(options));
  expect(await needs({ overrides: { logLevel: "debug" } })).toEqual([]);
  expect(await needs({ env: { ASSISTANT_API_KEY: "k" } })).toEqual([]);
  expect(await needs({ overrides: { httpAddr: "127.0.0.1:9" } })).toEqual(["server.http_addr"]);
  expect(await needs({ env: { ASSISTANT_GRPC_ADDR: "127.0.0.1:10" } })).toEqual(["server.grpc_addr"]);
});

it("a model's own address, changed, new or gone, is named by its model", async () => {
  const own = (port: number) => `[server]\nsocket_addr = "127.0.0.1:${port}"\n[chat]\nsource = "smollm2"\n`;
  await using one = await site({ "models/a.toml": own(9001), "models/b.toml": own(9002) });
  await using two = await site({ "models/a.toml": own(9001), "models/c.toml": own(9003) });
  expect(restartSettings(await one.load(), await two.load())).toEqual(["the address of b", "the address of c"]);
});
