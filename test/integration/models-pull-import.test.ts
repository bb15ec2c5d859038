import { copyFile, mkdir, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { readPiperVoice } from "../../src/core/piper-voice.ts";
import { onnxLike, piperConfig } from "../support/onnx.ts";
import { ggufLike, sha256, type TestStore, testStore } from "../support/store.ts";

let store: TestStore;
let elsewhere: TestStore;
const body = ggufLike(50_000);

beforeEach(async () => {
  store = await testStore();
  elsewhere = await testStore();
  await writeFile(join(elsewhere.dir, "My Model.gguf"), body);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await elsewhere[Symbol.asyncDispose]();
});

describe("importing a local file", () => {
  it("links it into the store under a safe name, and leaves the original alone", async () => {
    const pulled = await store.pull("./My Model.gguf", { cwd: elsewhere.dir });
    expect(pulled).toMatchObject({ name: "My-Model", sha256: sha256(body), bytes: body.length });
    const [original, stored] = await Promise.all([stat(join(elsewhere.dir, "My Model.gguf")), stat(pulled.file)]);
    expect(stored.ino).toBe(original.ino);
    expect(await store.files()).toEqual(["My-Model.gguf", "My-Model.json"]);
    expect((await store.pull("./My Model.gguf", { cwd: elsewhere.dir })).alreadyPresent).toBe(true);
  });

  it("follows a symbolic link to the file itself", async () => {
    await symlink(join(elsewhere.dir, "My Model.gguf"), join(elsewhere.dir, "link.gguf"));
    const { file } = await store.pull(join(elsewhere.dir, "link.gguf"));
    expect((await stat(file)).size).toBe(body.length);
  });

  it("refuses what is no GGUF, what is not there, and a folder without models", async () => {
    await writeFile(join(elsewhere.dir, "x.gguf"), "PK\u0003\u0004");
    await expect(store.pull(join(elsewhere.dir, "x.gguf"))).rejects.toMatchObject({
      code: "model_invalid",
      message: expect.stringContaining("a zip archive"),
    });
    await expect(store.pull(join(elsewhere.dir, "y.gguf"))).rejects.toMatchObject({
      code: "unknown_source",
      message: expect.stringContaining("There is no file"),
    });
    await mkdir(join(elsewhere.dir, "empty"));
    await expect(store.pull(join(elsewhere.dir, "empty"))).rejects.toMatchObject({
      code: "unknown_source",
      message: expect.stringContaining("is a folder without GGUF files"),
    });
    expect(await store.files()).toEqual([]);
  });

  it("makes one file of a Piper voice and its config, and leaves one that is whole as it is", async () => {
    const path = join(elsewhere.dir, "en_US-joe.onnx");
    await writeFile(path, onnxLike());
    await expect(store.pull(path)).rejects.toMatchObject({
      code: "model_invalid",
      remedy: expect.stringContaining("NAME.onnx.json"),
    });
    await writeFile(`${path}.json`, piperConfig());
    const pulled = await store.pull(path);
    expect(pulled.name).toBe("en_US-joe");
    expect((await readPiperVoice(pulled.file)).config.dataset).toBe("joe");
    expect((await store.pull(path)).alreadyPresent).toBe(true);
    await copyFile(pulled.file, join(elsewhere.dir, "whole.onnx"));
    const whole = await store.pull(join(elsewhere.dir, "whole.onnx"));
    expect([whole.sha256, await store.files()]).toEqual([
      pulled.sha256,
      ["en_US-joe.json", "en_US-joe.onnx", "whole.json", "whole.onnx"],
    ]);
  });

  it("lets no other file take a name of the catalog or of another model", async () => {
    const path = join(elsewhere.dir, "My Model.gguf");
    await expect(store.pull(path, { name: "smollm2" })).rejects.toMatchObject({
      code: "digest_mismatch",
      message: expect.stringContaining("expected 98362432 bytes, found 50000"),
    });
    await store.pull(path, { name: "mine" });
    await writeFile(join(elsewhere.dir, "other.gguf"), ggufLike(50_000));
    await expect(store.pull(join(elsewhere.dir, "other.gguf"), { name: "mine" })).rejects.toMatchObject({
      code: "file_exists",
      remedy: expect.stringContaining("assistant rm mine"),
    });
  });

  it("refuses names that could become other paths", async () => {
    for (const name of ["../x", "a/b", ".hidden", "", "-f", "x".repeat(101)]) {
      await expect(store.pull(join(elsewhere.dir, "My Model.gguf"), { name })).rejects.toMatchObject({ code: "usage" });
    }
  });
});
