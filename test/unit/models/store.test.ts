import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { piperMetadata } from "../../../src/core/piper-voice.ts";
import type { FileRole } from "../../../src/models/file-set.ts";
import type { Manifest } from "../../../src/models/manifest.ts";
import { isModelName, nameFromFile } from "../../../src/models/names.ts";
import { resolveWeights } from "../../../src/models/resolve.ts";
import {
  findByReference,
  getModel,
  listedOnce,
  listModels,
  type ModelStore,
  removeModel,
  weightsFile,
  writeManifest,
} from "../../../src/models/store.ts";
import { onnxLike, piperConfig } from "../../support/onnx.ts";
import { ggufLike, modelStoreIn } from "../../support/store.ts";

let weightsDir: string;
let store: ModelStore;
beforeEach(async () => {
  weightsDir = await mkdtemp(join(tmpdir(), "assistant-store-"));
  store = modelStoreIn(weightsDir);
});
afterEach(() => rm(weightsDir, { recursive: true, force: true }));

async function put(
  name: string,
  extra: Partial<Manifest> | null,
  content: string | Buffer = ggufLike(32),
): Promise<void> {
  await writeFile(join(weightsDir, `${name}.gguf`), content);
  if (extra !== null) await writeManifest(store, { ...manifest(name, content.length), ...extra });
}

const manifest = (name: string, bytes: number): Manifest => ({
  name,
  reference: name,
  source: "test",
  bytes,
  sha256: "0".repeat(64),
  licence: null,
  pulledAt: "2026-01-01T00:00:00.000Z",
});

describe("the store", () => {
  it("is listed once for many models that are looked up in it", async () => {
    await put("river", { reference: "hf:org/river/river.gguf" });
    await put("lake", null);
    const once = listedOnce(store);
    expect((await findByReference(once, "lake"))?.file).toBe(weightsFile(weightsDir, "lake"));
    const read = vi.spyOn(store.manifests, "read");
    expect((await findByReference(once, "hf:org/river/river.gguf"))?.name).toBe("river");
    expect(await findByReference(once, "hf:org/sea/sea.gguf")).toBeNull();
    expect((await listModels(once)).length).toBe(2);
    expect(read).not.toHaveBeenCalled();
    await put("sea", null);
    expect(await findByReference(once, "sea")).toBeNull();
    expect(await findByReference(listedOnce(store), "sea")).not.toBeNull();
  });

  it("holds voices beside other models, finds them by name and removes them", async () => {
    const voice = Buffer.concat([onnxLike(), piperMetadata(piperConfig())]);
    await put("smol", null);
    await writeFile(weightsFile(weightsDir, "joe", true), voice);
    await writeManifest(store, manifest("joe", voice.length));
    expect((await listModels(store)).map(({ name }) => name).sort()).toEqual(["joe", "smol"]);
    expect(await getModel(store, "joe")).toMatchObject({ file: join(weightsDir, "joe.onnx"), bytes: voice.length });
    const source = { type: "catalog", name: "joe" } as const;
    expect(await resolveWeights(source, store, "speech")).toBe(join(weightsDir, "joe.onnx"));
    await writeFile(weightsFile(weightsDir, "joe", true), voice.subarray(0, 100));
    await expect(resolveWeights(source, store, "speech")).rejects.toMatchObject({ code: "model_invalid" });
    expect(await removeModel(store, "joe")).toBe(true);
    expect((await readdir(weightsDir)).filter((file) => file.startsWith("joe"))).toEqual([]);
  });

  it("lists the newest first, files put there by hand included, and nothing else", async () => {
    await put("old", { pulledAt: "2020-01-01T00:00:00.000Z" });
    await put("new", { pulledAt: "2026-05-05T00:00:00.000Z" });
    await put("by-hand", null);
    await utimes(join(weightsDir, "by-hand.gguf"), 0, Date.parse("2023-01-01T00:00:00Z") / 1000);
    await writeFile(join(weightsDir, ".half.partial"), "GG");
    await writeFile(join(weightsDir, ".hidden.gguf"), "GG");
    await mkdir(join(weightsDir, "folder.gguf"));
    expect((await listModels(store)).map(({ name, manifest }) => [name, manifest?.source ?? null])).toEqual([
      ["new", "test"],
      ["by-hand", null],
      ["old", "test"],
    ]);
  });

  it("is empty where there is no directory", async () => {
    expect(await listModels(modelStoreIn(join(weightsDir, "none")))).toEqual([]);
  });

  it("shows a model whose manifest is damaged", async () => {
    await put("m", null);
    await writeFile(join(weightsDir, "m.json"), '{"name": 3');
    expect(await getModel(store, "m")).toMatchObject({ name: "m", manifest: null, bytes: 32 });
  });

  it("finds by reference, a model of that name first", async () => {
    await put("mine", { reference: "hf:a/b/c.gguf" });
    await put("smollm2", { reference: "/home/x.gguf" });
    expect((await findByReference(store, "hf:a/b/c.gguf"))?.name).toBe("mine");
    expect((await findByReference(store, "smollm2"))?.name).toBe("smollm2");
    expect(await findByReference(store, "hf:a/b/other.gguf")).toBeNull();
  });

  it("removes everything of a model and nothing of another", async () => {
    await put("a", {});
    await put("ab", {});
    await writeFile(join(weightsDir, ".a.partial"), "GG");
    expect(await removeModel(store, "a")).toBe(true);
    expect((await readdir(weightsDir)).sort()).toEqual(["ab.gguf", "ab.json"]);
    expect(await removeModel(store, "a")).toBe(false);
  });

  it("knows a model of several files by its manifest, and one in a folder that somebody made", async () => {
    await mkdir(join(weightsDir, "set"));
    for (const file of ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf", "eyes.gguf"])
      await writeFile(join(weightsDir, "set", file), ggufLike(40));
    const facts = (name: string, role: FileRole) => ({ name, role, bytes: 40, sha256: "0".repeat(64) });
    await writeManifest(store, {
      ...manifest("set", 120),
      files: [
        facts("m-00001-of-00002.gguf", "weights"),
        facts("m-00002-of-00002.gguf", "weights"),
        facts("eyes.gguf", "projector"),
      ],
    });
    await mkdir(join(weightsDir, "made"));
    for (const file of ["other.gguf", "made.gguf", "mmproj.gguf", "notes.txt"])
      await writeFile(join(weightsDir, "made", file), ggufLike(40));
    await mkdir(join(weightsDir, "no-model"));
    const at = (...parts: string[]) => join(weightsDir, ...parts);
    expect(await getModel(store, "set")).toMatchObject({
      file: at("set", "m-00001-of-00002.gguf"),
      projector: at("set", "eyes.gguf"),
      bytes: 120,
    });
    expect(await getModel(store, "made")).toMatchObject({
      file: at("made", "made.gguf"),
      projector: at("made", "mmproj.gguf"),
      bytes: 80,
      manifest: null,
    });
    expect((await listModels(store)).map(({ name }) => name).sort()).toEqual(["made", "set"]);
    expect(await removeModel(store, "set")).toBe(true);
    expect(await removeModel(store, "made")).toBe(true);
    // What is no file of the model stays.
    expect(await readdir(at("made"))).toEqual(["notes.txt", "other.gguf"]);
    expect((await readdir(weightsDir)).sort()).toEqual(["made", "no-model"]);
  });

  it("takes parts that lie side by side for one model", async () => {
    for (const part of ["1", "2"]) await put(`m-0000${part}-of-00002`, null);
    const [model, ...others] = await listModels(store);
    expect(others).toEqual([]);
    expect(model).toMatchObject({ name: "m-00001-of-00002", bytes: 64 });
    expect(await removeModel(store, "m-00001-of-00002")).toBe(true);
    expect(await readdir(weightsDir)).toEqual([]);
  });

  it("makes no path from a name that is none", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.constantFrom("..", "a/b", "a\\b", "a\0b", ".a")), (name) => {
        if (isModelName(name)) expect(weightsFile("/w", name)).toBe(`/w/${name}.gguf`);
        else expect(() => weightsFile("/w", name)).toThrow(expect.objectContaining({ code: "usage" }));
      }),
    );
  });

  it("names any file so that the name is valid", () => {
    fc.assert(fc.property(fc.string(), (file) => isModelName(nameFromFile(file))));
    expect(nameFromFile("/a/My Model (v2).Q4_K_M.GGUF")).toBe("My-Model-v2-.Q4_K_M");
  });
});

describe("weights of a configured model", () => {
  it("are found by name, by hub reference and by path", async () => {
    await put("smollm2", { reference: "smollm2" });
    await put("mine", { reference: "hf:a/b/c.gguf" });
    expect(await resolveWeights({ type: "catalog", name: "SmolLM2:latest" }, store)).toBe(
      join(weightsDir, "smollm2.gguf"),
    );
    expect(await resolveWeights({ type: "catalog", name: "mine" }, store)).toBe(join(weightsDir, "mine.gguf"));
    expect(await resolveWeights({ type: "huggingface", repo: "a/b", file: "c.gguf" }, store)).toBe(
      join(weightsDir, "mine.gguf"),
    );
    expect(await resolveWeights({ type: "file", path: join(weightsDir, "mine.gguf") }, store)).toBe(
      join(weightsDir, "mine.gguf"),
    );
  });

  it("that are missing come with the command that brings them", async () => {
    await expect(resolveWeights({ type: "catalog", name: "smollm2" }, store)).rejects.toMatchObject({
      code: "model_not_pulled",
      remedy: "Run `assistant pull smollm2`.",
    });
    await expect(resolveWeights({ type: "huggingface", repo: "a/b", file: "c.gguf" }, store)).rejects.toMatchObject({
      remedy: "Run `assistant pull hf:a/b/c.gguf`.",
    });
    await expect(resolveWeights({ type: "catalog", name: "smolm2" }, store)).rejects.toMatchObject({
      remedy: "Did you mean smollm2?",
    });
    await expect(resolveWeights({ type: "file", path: join(weightsDir, "x.gguf") }, store)).rejects.toMatchObject({
      code: "model_not_pulled",
    });
  });

  it.each([
    ["", "an empty file"],
    ["<html>", "a web page"],
    ["version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"],
    ['\u0010\0\0\0\0\0\0\0{"a":1}', "safetensors"],
  ])("that are no GGUF (%j) are called what they are", async (content, called) => {
    await put("m", null, content);
    await expect(resolveWeights({ type: "catalog", name: "m" }, store)).rejects.toMatchObject({
      code: "model_invalid",
      message: expect.stringContaining(called),
    });
  });
});
