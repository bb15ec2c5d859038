import { expect, it } from "vitest";
import { diffModels } from "../../../src/config/diff.ts";
import type { Config } from "../../../src/core/config.ts";
import { site } from "./support.ts";

const names = (diff: ReturnType<typeof diffModels>): Record<string, string[]> =>
  Object.fromEntries(Object.entries(diff).map(([list, models]) => [list, models.map(({ name }: { name: string }) => name)]));

async function loaded(models: Readonly<Record<string, string>>, main = ""): Promise<Config> {
  const files = Object.entries(models).map(([name, keys]) => [`models/${name}.toml`, `[chat]\nsource = "smollm2"\n${keys}`]);
  await using at = await site({ "config.toml": main, ...Object.fromEntries(files) });
  const config = await at.load();
  // Each site has a directory of its own, which must not count as a change.
  return { ...config, models: config.models.map((model) => ({ ...model, file: model.file.replace(at.root, "") })) };
}

const nothing = { added: [], removed: [], restart: [], updated: [] };

it("the same files make no work", async () => {
  expect(names(diffModels(await loaded({ a: "", b: "slots = 2\n" }), await loaded({ a: "", b: "slots = 2\n" })))).toEqual(nothing);
});

it("models come and go without touching the others", async () => {
  expect(names(diffModels(await loaded({ a: "", b: "" }), await loaded({ a: "", c: "" })))).toEqual({ ...nothing, added: ["c"], removed: ["b"] });
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
  expect(names(diffModels(await loaded({ a: "", b: "" }), await loaded({ a: "", b: `${key}\n` })))).toEqual({ ...nothing, restart: ["b"] });
});

it.each(["idle_ttl_s = 7", "preload = true", "pin = true", "replicas = 2", 'aliases = ["z"]', "include_usage = true"])("%s needs no restart", async (key) => {
  expect(names(diffModels(await loaded({ a: "", b: "" }), await loaded({ a: "", b: `${key}\n` })))).toEqual({ ...nothing, updated: ["b"] });
});

it("another llama-server restarts the models that it may run", async () => {
  const models = { a: "", b: 'engine = "node-llama-cpp"\n' };
  expect(names(diffModels(await loaded(models), await loaded(models, '[engine]\nllama_server_path = "/opt/llama-server"\n')))).toEqual({
    ...nothing,
    restart: ["a"],
  });
});

it("the daemon needs a restart for addresses and limits, not for models", async () => {
  await using at = await site({ "config.toml": "" });
  const base = (await at.load()).restartFingerprint;
  expect((await at.load({ overrides: { logLevel: "debug" } })).restartFingerprint).toBe(base);
  expect((await at.load({ env: { ASSISTANT_API_KEY: "k" } })).restartFingerprint).toBe(base);
  expect((await at.load({ overrides: { httpAddr: "127.0.0.1:9" } })).restartFingerprint).not.toBe(base);
  expect((await at.load({ env: { ASSISTANT_DATA_DIR: "/elsewhere" } })).restartFingerprint).not.toBe(base);
});
