import { existsSync } from "node:fs";
import { mkdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { resolvePaths } from "../../src/config/paths.ts";
import { installAssistant, packageRoot, type TestAssistant } from "../support/assistant.ts";
import { pullInto, smallModel } from "../support/handed-models.ts";
import { chatModelFile } from "../support/model-files.ts";

let assistant: TestAssistant;
/** A file that can be read as a model, and costs nothing to import. */
let small: string;

beforeEach(async () => {
  assistant = await installAssistant();
  small = join(assistant.root, "small.gguf");
  await writeFile(small, smallModel(100_000));
});
afterEach(() => assistant[Symbol.asyncDispose]());

const json = async <T>(...args: string[]): Promise<T> =>
  JSON.parse((await assistant.run([...args, "--json"])).stdout) as T;

/** Stands where the daemon's admin socket is, and says that `model` is loaded. */
async function daemonWith(model: string): Promise<AsyncDisposable> {
  const { adminSocket } = resolvePaths(assistant.env);
  await mkdir(dirname(adminSocket), { recursive: true });
  const status = {
    version: "0",
    pid: 1,
    instances: [{ id: `${model}@cpu`, model, state: "ready" }],
    models: [],
    devices: [],
    notices: [],
    hints: [],
  };
  const server = createServer((_, response) =>
    response
      .setHeader("content-type", "application/json")
      .setHeader("x-request-id", "req_1")
      .end(JSON.stringify(status)),
  );
  await new Promise<void>((resolve) => server.listen(adminSocket, resolve));
  return {
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(adminSocket, { force: true });
    },
  };
}

describe("pull, list, show, rm", () => {
  it("take a model from a file to a configured one, and away again", async () => {
    const weights = await chatModelFile();
    const pulled = await assistant.run(["pull", weights, "--name", "smollm2"]);
    expect(pulled).toMatchObject({ exitCode: 0 });
    expect(pulled.stdout).toContain(join(assistant.root, "data/models/smollm2.gguf"));
    expect(pulled.stdout).toContain("Run it: assistant run smollm2");
    expect(await readFile(join(assistant.root, "models/smollm2.toml"), "utf8")).toContain('source = "smollm2"');

    expect((await assistant.run(["ls"])).stdout).toMatch(
      /^NAME +KIND +SIZE[^\n]+\nsmollm2 +chat +98\.4 MB +Q4_1 +4096 \(8192\) +just now +ready to run$/,
    );
    expect(await json("list")).toMatchObject({
      models: [{ name: "smollm2", bytes: 98_362_432, configured: true, loaded: false }],
    });

    const shown = await json<{ memory: { total: { hostBytes: number } } }>("show", "smollm2");
    expect(shown).toMatchObject({
      licence: "Apache-2.0",
      sha256: expect.stringMatching(/^b179c952/),
      facts: { architecture: "llama", layers: 30 },
      loaded: false,
    });
    expect(shown.memory.total.hostBytes).toBeGreaterThan(98_362_432);
    expect((await assistant.run(["show", "smollm2"])).stdout).toMatch(/^memory +about \d+ MB: weights 96\.6 MB/m);

    expect(await assistant.run(["rm", "smollm2"])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("Add `--yes`"),
    });
    expect(await assistant.run(["rm", "smollm2", "--json"])).toMatchObject({ exitCode: 2 });
    expect(existsSync(join(assistant.root, "data/models/smollm2.gguf"))).toBe(true);
    const removed = await assistant.run(["rm", "smollm2", "--yes"]);
    expect(removed).toMatchObject({ exitCode: 0, stdout: "Deleted smollm2 (98.4 MB)." });
    expect(removed.stderr).toContain("smollm2.toml still refers to smollm2; `assistant run smollm2` pulls it again.");
    expect(existsSync(join(assistant.root, "data/models/smollm2.gguf"))).toBe(false);
    expect(existsSync(weights)).toBe(true);
    expect((await assistant.run(["list"])).stdout).toContain("not pulled");
  });

  it("tell of a damaged file by its model alone", async () => {
    await writeFile(join(assistant.root, "cut.gguf"), "GGUF");
    await assistant.writeModel("cut", `[chat]\nmodel_name = "cut"\nsource = "${join(assistant.root, "cut.gguf")}"\n`);
    await assistant.writeModel("whole", `[chat]\nmodel_name = "whole"\nsource = "${small}"\n`);
    const { stdout } = await assistant.run(["list"]);
    expect(stdout).toMatch(/^cut .* unusable file\nwhole +chat +100 kB .* ready to run$/m);
    expect(stdout).toMatch(/^cut: \S+cut\.gguf is cut off or damaged: /m);
    expect((await assistant.run(["show", "cut"])).stdout).toMatch(/^problem .*cut\.gguf is cut off or damaged/m);
  });

  it("estimate with a GPU where there is one, and with the CPU where not", async () => {
    await assistant.writeModel(
      "mine",
      `[chat]\nmodel_name = "mine"\nsource = "${await chatModelFile()}"\nn_gpu_layers = 100\n`,
    );
    const onGpu = async (env: Readonly<Record<string, string>>): Promise<number> => {
      const { stdout } = await assistant.run(["show", "mine", "--json"], { env: { ...assistant.env, ...env } });
      return (JSON.parse(stdout) as { memory: { total: { gpuBytes: number } } }).memory.total.gpuBytes;
    };
    expect(await onGpu({ PATH: dirname(process.execPath) })).toBe(0);
    const tools = join(assistant.root, "tools");
    await mkdir(tools);
    await symlink(join(packageRoot, "test/fakes/nvidia-smi"), join(tools, "nvidia-smi"));
    expect(await onGpu({ PATH: `${tools}:${process.env["PATH"] ?? ""}`, FAKE_GPUS: "1" })).toBeGreaterThan(90_000_000);
  });

  it("estimate for the engine that would run the model", async () => {
    const weights = await chatModelFile();
    // No native engine is on this PATH, so that the embedded one would run it, which is a larger program.
    const env = { ...assistant.env, PATH: dirname(process.execPath) };
    const memoryWith = async (engine: string): Promise<number> => {
      await assistant.writeModel("mine", `[chat]\nmodel_name = "mine"\nsource = "${weights}"\nengine = "${engine}"\n`);
      const { stdout } = await assistant.run(["show", "mine", "--json"], { env });
      return (JSON.parse(stdout) as { memory: { total: { hostBytes: number } } }).memory.total.hostBytes;
    };
    const chosen = await memoryWith("auto");
    expect(chosen).toBe(await memoryWith("node-llama-cpp"));
    expect(chosen).toBeGreaterThan((await memoryWith("llama-server")) + 100_000_000);
  });

  it("leave a model file of the user's as it is", async () => {
    await assistant.writeModel("mine", `[chat]\nmodel_name = "mine"\nsource = "brook"\n`);
    const result = await json<{ configuration: object }>("pull", small, "--name", "brook");
    expect(result.configuration).toMatchObject({
      model: "mine",
      written: false,
      file: join(assistant.root, "models/mine.toml"),
    });
    expect(existsSync(join(assistant.root, "models/brook.toml"))).toBe(false);
  });

  it("refuse to delete what is loaded, unknown, or a file of the user's", async () => {
    await pullInto(assistant, small, { name: "brook" });
    await assistant.writeModel("own", `[chat]\nmodel_name = "own"\nsource = "${small}"\n`);
    {
      await using _daemon = await daemonWith("brook");
      const refused = await assistant.run(["rm", "brook", "--yes"]);
      expect(refused).toMatchObject({
        exitCode: 1,
        stderr: expect.stringContaining("brook is loaded by the daemon"),
      });
      expect((await assistant.run(["list"])).stdout).toMatch(/brook .*loaded/);
    }
    expect(await assistant.run(["rm", "brok"])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining("Did you mean brook?"),
    });
    expect(await assistant.run(["rm", "brook", "own"])).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("it is not deleted"),
    });
    expect(existsSync(join(assistant.root, "data/models/brook.gguf"))).toBe(true);
  });

  it("list files although the configuration is broken", async () => {
    await pullInto(assistant, small, { name: "brook" });
    await writeFile(join(assistant.root, "config.toml"), "[server\n");
    const listed = await assistant.run(["list"]);
    expect(listed).toMatchObject({ exitCode: 0, stderr: expect.stringContaining("The configuration cannot be read") });
    expect(listed.stdout).toMatch(/brook .*not configured/);
  });

  it("answer with the exit codes of the catalogue, and errors as JSON where asked", async () => {
    expect(await assistant.run(["pull", "smolm2"])).toMatchObject({
      exitCode: 4,
      stderr: expect.stringContaining("Did you mean smollm2?"),
    });
    expect(await assistant.run(["pull", "./none.gguf"])).toMatchObject({ exitCode: 4 });
    expect(await assistant.run(["pull", small, "--name", "../x"])).toMatchObject({ exitCode: 2 });
    expect(await assistant.run(["show", "none"])).toMatchObject({ exitCode: 4 });
    expect(await json("pull", "smolm2")).toMatchObject({ error: { code: "unknown_source" } });
  });

  it("stop at Ctrl-C with exit code 130", async () => {
    const env = { ...assistant.env, HF_ENDPOINT: "http://127.0.0.1:9", PATH: join(assistant.root, "bin") };
    await mkdir(join(assistant.root, "bin"));
    await writeFile(join(assistant.root, "bin/python3"), "#!/bin/sh\nkill -INT $PPID\nexec /bin/sleep 60\n", {
      mode: 0o755,
    });
    expect(await assistant.run(["pull", "smollm2"], { env })).toMatchObject({
      exitCode: 130,
      stderr: expect.stringContaining("Downloaded data is kept"),
    });
  });
});
