import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { type EngineFolder, readEngineChoice, writeEngineChoice } from "../../../../src/engines/choice.ts";
import { listEngines } from "../../../../src/engines/list.ts";
import { CACHE_SCOPES_PATCH, DEPARTED_CLIENTS_PATCH } from "../../../../src/engines/llama-server/build/manifest.ts";
import { chooseBuild } from "../../../../src/engines/llama-server/builds.ts";
import { backendsOf, findLlamaServer, listLlamaServers } from "../../../../src/engines/llama-server/installation.ts";
import { buildsFolder, builtBinary } from "../../../../src/engines/llama-server/layout.ts";
import { engineToUse } from "../../../../src/engines/use.ts";
import { documentsIn } from "../../../support/store.ts";

let root: string;
let folder: EngineFolder;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-found-"));
  const enginesDir = join(root, "engines");
  folder = { enginesDir, choices: documentsIn(enginesDir) };
});
afterEach(() => rm(root, { recursive: true, force: true }));

/** A program that answers as llama-server does. */
async function fakeServer(path: string, version: string, devices = ""): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  const script = `#!/bin/sh\ncase $1 in --version) echo "version: ${version}" >&2;; --list-devices) printf 'Available devices:\\n${devices}';; esac\n`;
  await writeFile(path, script);
  await chmod(path, 0o755);
  return path;
}

async function addManifest(binary: string, patches: readonly string[], binaryBytes?: number): Promise<void> {
  const manifest = {
    schema: 1,
    patches: patches.map((name) => ({ name, sha256: "" })),
    flags: [],
    backends: ["cpu", "cuda"],
    binaryBytes: binaryBytes ?? (await stat(binary)).size,
  };
  await writeFile(join(dirname(binary), "manifest.json"), JSON.stringify(manifest));
}

describe("finding llama-server", () => {
  it("says what to do where there is none", async () => {
    const found = await findLlamaServer(folder, null, `${join(root, "bin")}:/nowhere`);
    expect(found).toMatchObject({
      available: false,
      path: null,
      remedy: expect.stringContaining("assistant engine build"),
    });
  });

  it("prefers configured over chosen over built over the PATH", async () => {
    const onPath = await fakeServer(join(root, "bin/llama-server"), "path");
    const find = (configured: string | null) => findLlamaServer(folder, configured, dirname(onPath));
    expect(await find(null)).toMatchObject({ available: true, origin: "path", version: "path", path: onPath });
    await fakeServer(builtBinary(folder.enginesDir), "built");
    expect(await find(null)).toMatchObject({ origin: "built", version: "built" });
    const chosen = await fakeServer(join(root, "own/llama-server"), "chosen");
    await writeEngineChoice(folder, { engine: "llama-server", llamaServerPath: chosen });
    expect(await find(null)).toMatchObject({ origin: "chosen", version: "chosen" });
    expect(await find(await fakeServer(join(root, "configured"), "configured"))).toMatchObject({
      origin: "configured",
      version: "configured",
    });
    expect((await listLlamaServers(folder, null, dirname(onPath))).map(({ origin }) => origin)).toEqual([
      "chosen",
      "built",
      "path",
    ]);
  });

  it("never replaces a binary that somebody named and that does not run", async () => {
    const onPath = await fakeServer(join(root, "bin/llama-server"), "path");
    const found = await findLlamaServer(folder, join(root, "missing"), dirname(onPath));
    expect(found).toMatchObject({
      available: false,
      origin: "configured",
      reason: expect.stringContaining("no such file"),
      remedy: expect.stringContaining("llama_server_path"),
    });
    expect(await findLlamaServer(folder, "/bin/true", "")).toMatchObject({ available: false });
  });

  it("knows a patched build by the manifest beside it, and only while it describes that very file", async () => {
    const built = await fakeServer(builtBinary(folder.enginesDir), "1");
    expect(await findLlamaServer(folder, null, "")).toMatchObject({
      noticesDisconnects: false,
      manifest: null,
      backends: ["cpu"],
    });
    await addManifest(built, [DEPARTED_CLIENTS_PATCH]);
    expect(await findLlamaServer(folder, null, "")).toMatchObject({
      noticesDisconnects: true,
      backends: ["cpu", "cuda"],
    });
    // A build of an earlier release shares what is cached among all.
    expect(await findLlamaServer(folder, null, "")).toMatchObject({ separatesCaches: false });
    await addManifest(built, [CACHE_SCOPES_PATCH]);
    expect(await findLlamaServer(folder, null, "")).toMatchObject({ noticesDisconnects: false, separatesCaches: true });
    await addManifest(built, [DEPARTED_CLIENTS_PATCH], 1);
    expect(await findLlamaServer(folder, null, "")).toMatchObject({ noticesDisconnects: false, manifest: null });
  });

  it("lists builds that are not used last and never takes one by itself", async () => {
    const other = await fakeServer(join(buildsFolder(folder.enginesDir), "v1-stock-1", "llama-server"), "stock");
    expect(await findLlamaServer(folder, null, "")).toMatchObject({ available: false });
    expect(await listLlamaServers(folder, null, "")).toMatchObject([
      { origin: "other build", version: "stock", path: other },
    ]);
  });

  it("uses the build that the link leads to, under its own path", async () => {
    const used = await fakeServer(join(buildsFolder(folder.enginesDir), "v1-1", "llama-server"), "one");
    const other = await fakeServer(join(buildsFolder(folder.enginesDir), "v1-2", "llama-server"), "two");
    await chooseBuild(folder.enginesDir, "v1-1");
    await addManifest(used, [DEPARTED_CLIENTS_PATCH]);
    expect(await findLlamaServer(folder, null, "")).toMatchObject({ path: used, noticesDisconnects: true });
    expect((await listLlamaServers(folder, null, "")).map(({ path }) => path)).toEqual([used, other]);
    // The link's own name is as good as the version's.
    expect(await findLlamaServer(folder, builtBinary(folder.enginesDir), "")).toMatchObject({
      noticesDisconnects: true,
    });
  });

  it("reads the backends from the devices a binary names", async () => {
    const own = await fakeServer(
      join(root, "own"),
      "1",
      "  CUDA0: NVIDIA H100 (81079 MiB)\\n  CUDA1: NVIDIA H100 (81079 MiB)\\n",
    );
    expect(await findLlamaServer(folder, own, "")).toMatchObject({ backends: ["cpu", "cuda"] });
    expect(backendsOf("Available devices:\n  Vulkan0: Radeon\n  BLAS: OpenBLAS\n")).toEqual(["cpu", "vulkan"]);
    expect(backendsOf("Available devices:\n  (none)\n")).toEqual(["cpu"]);
  });
});

describe("the remembered choice", () => {
  it("is auto until one is made, and survives", async () => {
    expect(await readEngineChoice(folder)).toEqual({ engine: "auto", llamaServerPath: null });
    await writeEngineChoice(folder, { engine: "node-llama-cpp", llamaServerPath: null });
    expect(await readEngineChoice(folder)).toEqual({ engine: "node-llama-cpp", llamaServerPath: null });
  });

  it("is refused, with the way out, when the file is broken", async () => {
    const file = await writeEngineChoice(folder, { engine: "auto", llamaServerPath: null });
    for (const text of ["{", "null", '{"engine":"vllm","llamaServerPath":null}', '{"engine":"auto"}']) {
      await writeFile(file, text);
      await expect(readEngineChoice(folder)).rejects.toMatchObject({
        code: "config_invalid",
        remedy: expect.stringContaining("engine use auto"),
      });
    }
  });
});

describe("what `engine use` takes", () => {
  const use = (given: string, configured: string | null = null) =>
    engineToUse(given, { folder, pathVariable: "", llamaServerPath: async () => configured });

  it("auto forgets a choice, a bundled engine keeps the chosen path, and neither looks at the configuration", async () => {
    const own = await fakeServer(join(root, "own"), "7");
    await writeEngineChoice(folder, { engine: "llama-server", llamaServerPath: own });
    const options = {
      folder,
      pathVariable: "",
      llamaServerPath: () => Promise.reject(new Error("a broken configuration")),
    };
    expect((await engineToUse("auto", options)).choice).toEqual({ engine: "auto", llamaServerPath: null });
    expect((await engineToUse("node-llama-cpp", options)).choice).toEqual({
      engine: "node-llama-cpp",
      llamaServerPath: own,
    });
  });

  it("a path is a llama-server, which must run", async () => {
    const own = await fakeServer(join(root, "own"), "7");
    expect(await use(own)).toEqual({
      choice: { engine: "llama-server", llamaServerPath: own },
      build: null,
      runsOn: `llama-server 7 at ${own}`,
    });
    await expect(use(join(root, "missing"))).rejects.toMatchObject({
      code: "engine_unavailable",
      message: expect.stringContaining("no such file"),
    });
  });

  it("llama-server is the one that would be found, and must be there", async () => {
    await expect(use("llama-server")).rejects.toMatchObject({
      code: "engine_unavailable",
      remedy: expect.stringContaining("assistant engine build"),
    });
    const configured = await fakeServer(join(root, "configured"), "8");
    expect(await use("llama-server", configured)).toEqual({
      choice: { engine: "llama-server", llamaServerPath: null },
      build: null,
      runsOn: `llama-server 8 at ${configured}`,
    });
  });

  it("a version is a build, which must run, and is refused where the configuration names another program", async () => {
    await fakeServer(join(buildsFolder(folder.enginesDir), "v1-1", "llama-server"), "one");
    expect(await use("v1-1")).toMatchObject({
      choice: { engine: "llama-server", llamaServerPath: null },
      build: "v1-1",
      runsOn: expect.stringContaining("llama-server one"),
    });
    await expect(use("v1-1", "/opt/llama-server")).rejects.toMatchObject({
      code: "usage",
      message: expect.stringContaining("/opt/llama-server"),
    });
    await expect(use("v1-2")).rejects.toMatchObject({ code: "usage", remedy: "Did you mean v1-1?" });
  });

  it("nothing else", async () => {
    await expect(use("llama")).rejects.toMatchObject({ code: "usage", param: "ENGINE" });
  });
});

it("lists every program of every engine, and marks the one that auto means", async () => {
  const list = (configured: string | null) =>
    listEngines({ folder, llamaServerPath: configured, pathVariable: "", nodePath: process.execPath });
  const marked = async (configured: string | null) =>
    (await list(configured)).all.map(({ engine, origin, auto }) => [engine, origin, auto]);
  expect(await marked(null)).toEqual([["node-llama-cpp", "embedded", true]]);
  await fakeServer(builtBinary(folder.enginesDir), "built");
  const configured = await fakeServer(join(root, "configured"), "configured");
  expect(await marked(configured)).toEqual([
    ["llama-server", "configured", true],
    ["llama-server", "built", false],
    ["node-llama-cpp", "embedded", false],
  ]);
  // One that was named is never replaced silently.
  expect(await list(join(root, "missing"))).toMatchObject({
    auto: null,
    all: [{ auto: false, availability: { available: false } }, {}, { auto: false }],
  });
});
