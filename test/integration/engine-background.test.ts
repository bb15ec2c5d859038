import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, test } from "vitest";
import { chooseBuild } from "../../src/engines/llama-server/builds.ts";
import { eventually, installAssistant, type TestAssistant } from "../support/assistant.ts";
import { fakeEngineBuild } from "../support/fake-installation.ts";
import { emptyGguf } from "../support/gguf-writer.ts";

const run = promisify(execFile);

/** Compilers that take no time, and a git that answers what is asked before a build. */
let tools: string;
let assistant: TestAssistant;

beforeEach(async () => {
  tools = await mkdtemp(join(tmpdir(), "assistant-background-"));
  const { stdout } = await run("sh", ["-c", "for tool in sh cat mkdir sleep; do command -v $tool; done"]);
  for (const tool of stdout.trim().split("\n")) await symlink(tool, join(tools, tool.slice(tool.lastIndexOf("/") + 1)));
  await program("c++", "echo 'c++ (test) 1.0'");
  await program("ninja", "echo 1.11");
  await program(
    "cmake",
    `[ "$1" = --version ] && { echo "cmake version 3.25.1"; exit 0; }
[ "$1" = --build ] || exit 0
mkdir -p "$2/bin"
cat "${tools}/made/llama-server" > "$2/bin/llama-server"`,
  );
  await fakeEngineBuild(join(tools, "made"));
  assistant = await installAssistant({ env: { PATH: tools } });
});
afterEach(async () => {
  await assistant.run(["engine", "build", "--cancel"]);
  await assistant[Symbol.asyncDispose]();
  await rm(tools, { recursive: true, force: true });
});

async function program(name: string, script: string): Promise<void> {
  await rm(join(tools, name), { force: true });
  await writeFile(join(tools, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(tools, name), 0o755);
}
/** `clone` is what it does where a build unpacks its source. */
const git = (clone: string): Promise<void> =>
  program(
    "git",
    `case "$*" in *clone*) ${clone};; *bundle*) echo "0123456789abcdef refs/heads/main";; *) echo git version 2;; esac`,
  );
/** The folder that is cloned into comes last. */
const UNPACK = 'for last; do :; done; mkdir -p "$last"';

const json = async (...args: string[]): Promise<Record<string, unknown>> =>
  JSON.parse((await assistant.run([...args, "--json"])).stdout) as Record<string, unknown>;
const begin = (): Promise<Record<string, unknown>> => json("engine", "build", "--background");

test("is used once it is there, and told of once", async () => {
  await git(UNPACK);
  expect(await begin()).toEqual({ started: true, reason: null });
  await eventually("the build is there", async () => (await json("engine", "list"))["auto"] === "llama-server");
  await eventually("it has ended", async () => (await json("engine", "list"))["building"] === null);
  const status = () => assistant.run(["status"]);
  expect((await status()).stderr).toMatch(/^The native engine v\S+ has been built/u);
  expect((await status()).stderr).toBe("");
  // There is nothing left to build.
  expect(await begin()).toMatchObject({ started: false, reason: expect.stringContaining("engine list") });
  const [{ path }] = (await json("engine", "list"))["engines"] as [{ path: string }];
  const manifest = join(dirname(path), "manifest.json");
  const { patches, ...rest } = JSON.parse(await readFile(manifest, "utf8")) as { patches: object[] };
  await writeFile(manifest, JSON.stringify({ ...rest, patches: patches.slice(1) }));
  const list = await assistant.run(["engine", "list"]);
  expect(list.stdout).toMatch(/built with no or older versions of the patches 0001-.*`assistant engine build`/u);
  expect(await begin()).toEqual({ started: true, reason: null });
});

test("that fails disturbs nothing, is reported, and not tried again while nothing has changed", async () => {
  await git("echo 'fatal: no space' >&2; exit 1");
  expect(await begin()).toMatchObject({ started: true });
  await eventually("it is known to have failed", async () => {
    const { findings } = (await json("doctor")) as { findings: { subject: string; found: string }[] };
    return findings.find(({ subject }) => subject === "native build")?.found.includes("fatal: no space");
  });
  expect((await assistant.run(["status"])).stderr).toContain("could not be built in the background");
  expect(await begin()).toMatchObject({ started: false, reason: expect.stringContaining("failed before") });
  await git(UNPACK);
  await program("c++", "echo 'c++ (test) 2.0'");
  expect(await begin()).toMatchObject({ started: true });
});

test("can be ended, and can be switched off", async () => {
  await git(`${UNPACK}; exec sleep 60`);
  expect(await begin()).toMatchObject({ started: true });
  await eventually("it runs", async () => (await json("engine", "list"))["building"] !== null);
  expect(await begin()).toMatchObject({ started: false, reason: expect.stringContaining("under way") });
  expect(await json("engine", "build", "--cancel")).toEqual({ cancelled: true });
  expect(await json("engine", "build", "--cancel")).toEqual({ cancelled: false });
  await writeFile(assistant.env["ASSISTANT_CONFIG"] ?? "", "[engine]\nbuild_in_background = false\n");
  expect(await begin()).toMatchObject({ started: false, reason: expect.stringContaining("build_in_background") });
});

test("a daemon that runs takes a new build from the next start of a model on", async () => {
  const weights = join(assistant.root, "river.gguf");
  await writeFile(weights, emptyGguf);
  await assistant.writeModel(
    "river",
    `[chat]\nmodel_name = "river"\nsource = "${weights}"\nctx_size = 2048\nslots = 1\n`,
  );
  await assistant.serve();
  expect((await assistant.status()).hints.join()).toContain("assistant engine build");
  const enginesDir = join(assistant.env["ASSISTANT_DATA_DIR"] ?? "", "engines");
  await fakeEngineBuild(join(enginesDir, "llama-server", "v1-a"));
  await chooseBuild(enginesDir, "v1-a");
  await eventually("the daemon has noticed", async () => (await assistant.daemonLog()).includes('"build":"v1-a"'));
  expect((await assistant.run(["load", "river"])).exitCode).toBe(0);
  expect((await assistant.status()).instances).toMatchObject([{ model: "river", engine: "llama-server" }]);
});
