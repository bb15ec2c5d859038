import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { execa } from "execa";
import { afterAll, beforeAll, expect, it } from "vitest";
import { loadConfig } from "../../src/config/load.ts";
import { parseToml } from "../../src/config/toml.ts";

const program = fileURLToPath(new URL("../../bin/assistant.js", import.meta.url));
const homes: string[] = [];

/** The real program with an empty HOME. */
async function home() {
  const root = await mkdtemp(path.join(tmpdir(), "assistant-init-"));
  homes.push(root);
  const env = { HOME: root, PATH: process.env.PATH ?? "" };
  const directory = path.join(root, ".config/assistant");
  const run = async (...args: string[]) => {
    const { exitCode, stdout, stderr } = await execa(process.execPath, [program, ...args], {
      env,
      extendEnv: false,
      reject: false,
      cwd: root,
    });
    return { exitCode, stdout, stderr };
  };
  return {
    root,
    env,
    run,
    config: path.join(directory, "config.toml"),
    model: (name: string) => path.join(directory, "models", `${name}.toml`),
  };
}

beforeAll(async () => {
  expect(
    await readFile(new URL("../../dist/commands/init.js", import.meta.url), "utf8"),
    "the program must be built first",
  ).toContain("model-config");
});
afterAll(async () => {
  for (const root of homes) await rm(root, { recursive: true, force: true });
});

it("init --model-config writes both files, which load without a notice", async () => {
  const at = await home();
  const result = await at.run("init", "--model-config");
  expect(result).toMatchObject({ exitCode: 0, stdout: `Wrote ${at.config}\nWrote ${at.model("smollm2")}` });
  const config = await loadConfig({ env: at.env });
  expect(config.notices).toEqual([]);
  expect(config.models).toMatchObject([
    { name: "smollm2", kind: "chat", source: { type: "catalog", name: "smollm2" } },
  ]);
});

it("init never overwrites without --force, and says which file", async () => {
  const at = await home();
  await at.run("init", "--model-config");
  for (const [file, args] of [
    [at.config, ["init"]],
    [at.model("smollm2"), ["init", "--model-config"]],
  ] as const) {
    await writeFile(file, "# mine\n");
    const refused = await at.run(...args);
    expect(refused).toMatchObject({ exitCode: 1, stdout: "" });
    expect(refused.stderr).toContain(file);
    expect(refused.stderr).toContain("--force");
    expect(await readFile(file, "utf8")).toBe("# mine\n");
    expect((await at.run(...args, "--force")).exitCode).toBe(0);
    expect(await readFile(file, "utf8")).not.toBe("# mine\n");
  }
});

it("--force with --model-config leaves config.toml alone", async () => {
  const at = await home();
  await at.run("init", "--model-config");
  await writeFile(at.config, "# mine\n");
  await at.run("init", "--model-config", "--force");
  expect(await readFile(at.config, "utf8")).toBe("# mine\n");
});

it("assistant --model-config prints a model file and writes nothing", async () => {
  const at = await home();
  const printed = await at.run("--model-config");
  expect(printed.exitCode).toBe(0);
  expect(parseToml("printed.toml", printed.stdout).data).toMatchObject({
    chat: { model_name: "smollm2", source: "smollm2" },
  });
  await expect(readFile(at.config)).rejects.toMatchObject({ code: "ENOENT" });
});

it("a model file goes where config_dir says, with the name and source that were given", async () => {
  const at = await home();
  const config = path.join(at.root, "own.toml");
  await writeFile(config, '[scheduler]\nconfig_dir = "m"\n');
  const result = await at.run(
    "init",
    "--model-config",
    "tuna",
    "--source",
    "weights/tuna-7b.gguf",
    "--config",
    config,
    "--json",
  );
  expect(result.exitCode).toBe(0);
  const file = path.join(at.root, "m/tuna.toml");
  expect(JSON.parse(result.stdout)).toEqual({
    files: [
      { file: config, written: false },
      { file, written: true },
    ],
  });
  expect(parseToml(file, await readFile(file, "utf8")).data).toMatchObject({
    chat: { model_name: "tuna", source: path.join(at.root, "weights/tuna-7b.gguf") },
  });
});

it.each([
  [["init", "tuna"], 2, "--model-config"],
  [["init", "--model-config", "tuna"], 4, "neither known by name nor pulled"],
  [["init", "--model-config", "../x", "--source", "smollm2"], 2, "cannot be a model's name"],
  [["init", "--stdout", "--force"], 2, "--stdout"],
])("%j fails with %i", async (args, exitCode, words) => {
  const at = await home();
  const result = await at.run(...args);
  expect(result.exitCode).toBe(exitCode);
  expect(result.stderr).toContain(words);
});

it("the name of a model that is configured elsewhere is told after writing", async () => {
  const at = await home();
  await at.run("init", "--model-config");
  await writeFile(at.model("another"), '[chat]\nmodel_name = "tuna"\nsource = "smollm2"\n');
  const result = await at.run("init", "--model-config", "tuna", "--source", "smollm2");
  expect(result.exitCode).toBe(0);
  expect(result.stderr).toContain('two models have the name "tuna"');
});
