import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterEach, expect, test } from "vitest";
import { loadAssistantService } from "../../src/api/assistant-service.ts";
import type { PulledModel } from "../../src/models/pull.ts";
import { eventually } from "../support/assistant.ts";
import { giveModel, smallModel, transfers } from "../support/handed-models.ts";
import { modelPart, projectorFile } from "../support/model-repository.ts";
import { NodeGroup, type TestNode } from "../support/nodes.ts";
import { sha256 } from "../support/store.ts";

const nodes = new NodeGroup();
const { start } = nodes;
afterEach(nodes.end);

const weightsOf = (node: TestNode, name: string): string => join(node.assistant.root, "data/models", `${name}.gguf`);

test("a model of another machine arrives whole, is configured as any pulled one, and runs", async () => {
  const weights = smallModel(3_000_000);
  const b = await start();
  await giveModel(b, "river", weights);
  const a = await start({ remotes: [{ name: "b", grpc: b.grpc }] });
  const pulled = await a.assistant.run(["pull", "river", "--from", "b"]);
  expect(pulled.exitCode).toBe(0);
  expect(pulled.stdout).toContain("Pulled river from remote server b (3.0 MB)");
  expect(pulled.stdout).toContain("Run it: assistant run river");
  expect(sha256(await readFile(weightsOf(a, "river")))).toBe(sha256(weights));
  expect(await readFile(join(a.assistant.root, "models/river.toml"), "utf8")).toMatch(/^source = "river"$/m);
  expect((await a.assistant.run(["list"])).stdout).toMatch(/^river +chat +3\.0 MB .*ready to run$/m);
  const shown = JSON.parse((await a.assistant.run(["show", "river", "--json"])).stdout) as Record<string, unknown>;
  // Where the other machine had it from is its own file, which means nothing here.
  expect(shown).toMatchObject({ sha256: sha256(weights), origin: "remote server b", source: "river" });
  expect((await a.assistant.run(["run", "river", "Hello", "--max-tokens", "3"])).stdout).toBe("word0 word1 word2");

  const again = await a.assistant.run(["pull", "river", "--from", b.grpc, "--json"]);
  expect(JSON.parse(again.stdout)).toMatchObject({
    name: "river",
    alreadyPresent: true,
    sha256: sha256(weights),
    configuration: { model: "river" },
  });
  expect((await transfers(b)).map(({ msg, offset, sent }) => [msg, offset, sent])).toEqual([
    ["model transfer begins", 0, undefined],
    ["model transfer done", 0, weights.length],
  ]);
});

test("a model of several files comes with all of them", async () => {
  const b = await start();
  const folder = join(b.assistant.root, "big");
  await mkdir(folder);
  const parts = [modelPart(1, 2), modelPart(2, 2), projectorFile];
  const names = ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "mmproj.gguf"];
  for (const [index, name] of names.entries()) await writeFile(join(folder, name), parts[index] ?? "");
  expect(await b.assistant.run(["import", folder])).toMatchObject({ exitCode: 0 });
  await eventually("b knows the model", async () => (await b.status()).models.some(({ name }) => name === "big"));
  const a = await start({ remotes: [{ name: "b", grpc: b.grpc }] });
  const { stdout } = await a.assistant.run(["pull", "big", "--from", "b", "--json"]);
  const pulled = JSON.parse(stdout) as PulledModel;
  expect(pulled).toMatchObject({ name: "big", source: "remote server b", alreadyPresent: false });
  expect(pulled.files?.map(({ name, role }) => [name, role])).toEqual([
    [names[0], "weights"],
    [names[1], "weights"],
    [names[2], "projector"],
  ]);
  for (const [index, name] of names.entries())
    expect(await readFile(join(a.assistant.root, "data/models/big", name))).toEqual(parts[index]);
  expect(await readFile(join(a.assistant.root, "models/big.toml"), "utf8")).toContain(
    `llava_mmproj = "${pulled.projector}"`,
  );
});

test("names that are not to be had: a model, a machine, a file outside the store", async () => {
  const b = await start({ models: { lake: 'model_alias = "pond"\n' } });
  await giveModel(b, "river", smallModel(10_000));
  const a = await start({
    remotes: [
      { name: "berta", grpc: b.grpc },
      { name: "off", grpc: b.grpc, extra: "enabled = false" },
    ],
  });
  const refused = async (...args: string[]): Promise<{ exitCode: number; stderr: string }> => {
    const { exitCode, stderr, stdout } = await a.assistant.run(["pull", ...args]);
    expect(stdout).toBe("");
    return { exitCode, stderr };
  };
  expect(await refused("rivr", "--from", "berta")).toEqual({
    exitCode: 4,
    stderr: 'Error: The remote server "berta" says: There is no model "rivr" on that machine.\nDid you mean river?',
  });
  // A path is no name, whatever it leads to.
  expect((await refused("../../config", "--from", "berta")).exitCode).toBe(4);
  const outside = await refused("pond", "--from", "berta");
  expect(outside.stderr).toContain('The weights of "lake" are a file outside its store, which is not handed out.');
  expect(outside.stderr).not.toContain("/");
  expect(await refused("river", "--from", "bert")).toEqual({
    exitCode: 2,
    stderr: `Error: There is no remote server "bert" in the configuration.\nDid you mean berta? Configured are berta (${b.grpc}), off (${b.grpc}).`,
  });
  expect((await refused("river", "--from", "off")).stderr).toContain("enabled = true");
  expect(await transfers(b)).toEqual([]);
});

test("where the other machine has keys, one is needed", async () => {
  const b = await start({ env: { ASSISTANT_API_KEY: "secret" } });
  const weights = smallModel(10_000);
  await giveModel(b, "river", weights);
  const a = await start({
    remotes: [
      { name: "none", grpc: b.grpc },
      { name: "wrong", grpc: b.grpc, extra: 'api_key = "guess"' },
      { name: "right", grpc: b.grpc, extra: 'api_key = "secret"' },
    ],
  });
  for (const name of ["none", "wrong"]) {
    const { exitCode, stdout } = await a.assistant.run(["pull", "river", "--from", name, "--json"]);
    expect(exitCode).toBe(1);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string; remedy: string } };
    expect(error).toMatchObject({ code: "invalid_api_key", remedy: expect.stringContaining("api_key_env") });
    expect(error.message).toContain(`"${name}" refuses us`);
  }
  expect(await transfers(b)).toEqual([]);
  const { stdout } = await a.assistant.run(["pull", "river", "--from", "right", "--json"]);
  expect((JSON.parse(stdout) as PulledModel).sha256).toBe(sha256(weights));
});

test("bytes that are not those of the digest are an error, and nothing of them is kept", async () => {
  const b = await start();
  const weights = smallModel(100_000);
  await giveModel(b, "river", weights);
  // As a failing disk has it: the same length, another bit.
  const damaged = Buffer.from(weights);
  damaged[90_000] = (damaged[90_000] ?? 0) ^ 1;
  await writeFile(weightsOf(b, "river"), damaged);
  const a = await start({ remotes: [{ name: "b", grpc: b.grpc }] });
  const { exitCode, stderr } = await a.assistant.run(["pull", "river", "--from", "b"]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`remote server b: expected SHA-256 ${sha256(weights)}, found ${sha256(damaged)}`);
  const { stdout } = await a.assistant.run(["list", "--json"]);
  expect(JSON.parse(stdout)).toMatchObject({ models: [] });
  await expect(readFile(weightsOf(a, ".river.partial").replace(".gguf", ""))).rejects.toThrow("ENOENT");
  // A digest that the user knows is asked for before anything is sent.
  const other = await a.assistant.run(["pull", "river", "--from", "b", "--sha256", sha256(damaged)]);
  expect(other.stderr).toContain(`has SHA-256 ${sha256(weights)}, expected ${sha256(damaged)}`);
  expect((await transfers(b)).filter(({ msg }) => msg.endsWith("begins"))).toHaveLength(1);
});

test("a machine that is too old says so, one that is away as well", async () => {
  const { service } = await loadAssistantService();
  const old = new Server();
  old.addService(service, {});
  const port = await new Promise<number>((resolve, reject) =>
    old.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const a = await start({
    remotes: [
      { name: "old", grpc: `127.0.0.1:${port}`, extra: "" },
      { name: "away", grpc: "127.0.0.1:9" },
    ],
  });
  const tooOld = await a.assistant.run(["pull", "river", "--from", "old"]);
  old.forceShutdown();
  expect(tooOld.exitCode).toBe(1);
  expect(tooOld.stderr).toContain('The remote server "old" cannot hand out models: it has no ModelService.');
  expect(tooOld.stderr).toContain("update it");
  const away = await a.assistant.run(["pull", "river", "--from", "away", "--json"]);
  expect(JSON.parse(away.stdout)).toMatchObject({
    error: { code: "node_unavailable", message: expect.stringContaining('"away" cannot be reached') },
  });
});
