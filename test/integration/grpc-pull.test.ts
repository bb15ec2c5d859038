import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { afterAll, beforeAll, expect, test } from "vitest";
import { loadAssistantService } from "../../src/api/assistant-service.ts";
import { type AssistantError, toAssistantError } from "../../src/core/errors.ts";
import type { PulledModel } from "../../src/models/pull.ts";
import { eventually } from "../support/assistant.ts";
import { giveModel, pullInto, smallModel, transfersSince } from "../support/handed-models.ts";
import { modelPart, projectorFile } from "../support/model-repository.ts";
import { NodeGroup, type NodeSetup, type TestNode } from "../support/nodes.ts";
import { sha256 } from "../support/store.ts";

const nodes = new NodeGroup();
const old = new Server();
let remotes: NonNullable<NodeSetup["remotes"]>;
/** Pulls from `b`, which has keys, by the name of berta. */
let a: TestNode;
let b: TestNode;
const river = smallModel(3_000_000);

beforeAll(async () => {
  old.addService((await loadAssistantService()).service, {});
  const port = await new Promise<number>((resolve, reject) =>
    old.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  b = await nodes.start({ models: { lake: 'model_alias = "pond"\n' }, env: { ASSISTANT_API_KEY: "secret" } });
  await giveModel(b, "river", river);
  remotes = [
    { name: "berta", grpc: b.grpc, extra: 'api_key = "secret"' },
    { name: "none", grpc: b.grpc },
    { name: "wrong", grpc: b.grpc, extra: 'api_key = "guess"' },
    { name: "off", grpc: b.grpc, extra: "enabled = false" },
    { name: "old", grpc: `127.0.0.1:${port}` },
    { name: "away", grpc: "127.0.0.1:9" },
  ];
  a = await nodes.start({ remotes });
});
afterAll(async () => {
  await nodes.end();
  old.forceShutdown();
});

const weightsOf = (node: TestNode, name: string): string => join(node.assistant.root, "data/models", `${name}.gguf`);

test("a model of another machine arrives whole, is configured as any pulled one, and runs", async () => {
  const transferred = await transfersSince(b);
  const pulled = await a.assistant.run(["pull", "river", "--from", "berta"]);
  expect(pulled.exitCode).toBe(0);
  expect(pulled.stdout).toContain("Pulled river from remote server berta (3.0 MB)");
  expect(pulled.stdout).toContain("Run it: assistant run river");
  expect(sha256(await readFile(weightsOf(a, "river")))).toBe(sha256(river));
  expect(await readFile(join(a.assistant.root, "models/river.toml"), "utf8")).toMatch(/^source = "river"$/m);
  expect((await a.assistant.run(["list"])).stdout).toMatch(/^river +chat +3\.0 MB .*ready to run$/m);
  const shown = JSON.parse((await a.assistant.run(["show", "river", "--json"])).stdout) as Record<string, unknown>;
  // Where the other machine had it from is its own file, which means nothing here.
  expect(shown).toMatchObject({ sha256: sha256(river), origin: "remote server berta", source: "river" });
  expect((await a.assistant.run(["run", "river", "Hello", "--max-tokens", "3"])).stdout).toBe("word0 word1 word2");

  const again = await a.assistant.run(["pull", "river", "--from", "berta", "--json"]);
  expect(JSON.parse(again.stdout)).toMatchObject({
    name: "river",
    alreadyPresent: true,
    sha256: sha256(river),
    configuration: { model: "river" },
  });
  expect((await transferred()).map(({ msg, offset, sent }) => [msg, offset, sent])).toEqual([
    ["model transfer begins", 0, undefined],
    ["model transfer done", 0, river.length],
  ]);
});

test("a model of several files comes with all of them", async () => {
  const folder = join(b.assistant.root, "big");
  await mkdir(folder);
  const parts = [modelPart(1, 2), modelPart(2, 2), projectorFile];
  const names = ["big-00001-of-00002.gguf", "big-00002-of-00002.gguf", "mmproj.gguf"];
  for (const [index, name] of names.entries()) await writeFile(join(folder, name), parts[index] ?? "");
  await pullInto(b.assistant, folder);
  await eventually("b knows the model", async () => (await b.status()).models.some(({ name }) => name === "big"));
  const { stdout } = await a.assistant.run(["pull", "big", "--from", "berta", "--json"]);
  const pulled = JSON.parse(stdout) as PulledModel;
  expect(pulled).toMatchObject({ name: "big", source: "remote server berta", alreadyPresent: false });
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
  const transferred = await transfersSince(b);
  const printed = async (...args: string[]): Promise<{ exitCode: number; stderr: string }> => {
    const { exitCode, stderr, stdout } = await a.assistant.run(["pull", ...args]);
    expect(stdout).toBe("");
    return { exitCode, stderr };
  };
  const refusal = (name: string, from: string): Promise<AssistantError> =>
    pullInto(a.assistant, name, { from }).then(() => Promise.reject(new Error("it was pulled")), toAssistantError);
  expect(await printed("rivr", "--from", "berta")).toEqual({
    exitCode: 4,
    stderr: 'Error: The remote server "berta" reports: There is no model "rivr" on that machine.\nDid you mean river?',
  });
  // A path is no name, whatever it leads to.
  expect(await refusal("../../config", "berta")).toMatchObject({ exitCode: 4 });
  const outside = await refusal("pond", "berta");
  expect(outside.message).toContain('The weights of "lake" are a file outside its store, which is not shared.');
  expect(outside.message + outside.remedy).not.toContain("/");
  const configured = remotes.map(({ name, grpc }) => `${name} (${grpc})`).join(", ");
  expect(await printed("river", "--from", "bert")).toEqual({
    exitCode: 2,
    stderr: `Error: There is no remote server "bert" in the configuration.\nDid you mean berta? Configured are ${configured}.`,
  });
  expect((await refusal("river", "off")).remedy).toContain("enabled = true");
  expect(await transferred()).toEqual([]);
});

test("where the other machine has keys, the right one is needed", async () => {
  const transferred = await transfersSince(b);
  for (const name of ["none", "wrong"]) {
    const { exitCode, stdout } = await a.assistant.run(["pull", "lake", "--from", name, "--json"]);
    expect(exitCode).toBe(1);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string; remedy: string } };
    expect(error).toMatchObject({ code: "invalid_api_key", remedy: expect.stringContaining("api_key_env") });
    expect(error.message).toContain(`"${name}" refuses access`);
  }
  expect(await transferred()).toEqual([]);
});

test("bytes that are not those of the digest are an error, and nothing of them is kept", async () => {
  const weights = smallModel(100_000);
  await giveModel(b, "creek", weights);
  const transferred = await transfersSince(b);
  // As a failing disk has it: the same length, another bit.
  const damaged = Buffer.from(weights);
  damaged[90_000] = (damaged[90_000] ?? 0) ^ 1;
  await writeFile(weightsOf(b, "creek"), damaged);
  const { exitCode, stderr } = await a.assistant.run(["pull", "creek", "--from", "berta"]);
  expect(exitCode).toBe(1);
  expect(stderr).toContain(`remote server berta: expected SHA-256 ${sha256(weights)}, found ${sha256(damaged)}`);
  for (const folder of ["data/models", "models"])
    expect((await readdir(join(a.assistant.root, folder))).filter((name) => name.includes("creek"))).toEqual([]);
  // A digest that the user knows is asked for before anything is sent.
  const other = await a.assistant.run(["pull", "creek", "--from", "berta", "--sha256", sha256(damaged)]);
  expect(other.stderr).toContain(`has SHA-256 ${sha256(weights)}, expected ${sha256(damaged)}`);
  expect((await transferred()).filter(({ msg }) => msg.endsWith("begins"))).toHaveLength(1);
});

test("a machine that is too old says so, one that is away as well", async () => {
  const tooOld = await a.assistant.run(["pull", "river", "--from", "old"]);
  expect(tooOld.exitCode).toBe(1);
  expect(tooOld.stderr).toContain('The remote server "old" cannot hand out models: it has no ModelService.');
  expect(tooOld.stderr).toContain("update it");
  const away = await a.assistant.run(["pull", "river", "--from", "away", "--json"]);
  expect(JSON.parse(away.stdout)).toMatchObject({
    error: { code: "node_unavailable", message: expect.stringContaining('"away" cannot be reached') },
  });
});
