import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { copyModel, exportModel } from "../../../src/models/copy.ts";
import { getModel, removeModel } from "../../../src/models/store.ts";
import { ggufLike, type TestStore, testStore } from "../../support/store.ts";

let store: TestStore;
let elsewhere: string;
const body = ggufLike(5_000);
const parts = ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"];

beforeEach(async () => {
  store = await testStore();
  elsewhere = await mkdtemp(join(tmpdir(), "assistant-export-"));
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await rm(elsewhere, { recursive: true, force: true });
});

/** Imports a model of one file named `one`, and puts one of two files named `two` into the store by hand. */
async function models(): Promise<void> {
  await writeFile(join(elsewhere, "one.gguf"), body);
  await store.pull(join(elsewhere, "one.gguf"));
  await rm(join(elsewhere, "one.gguf"));
  await mkdir(join(store.dir, "two"));
  for (const part of parts) await writeFile(join(store.dir, "two", part), body);
}
const required = async (name: string) => {
  const model = await getModel(store.models, name);
  if (model === null) throw new Error(`no ${name}`);
  return model;
};

it("of several copies to one name at once one is made", async () => {
  await models();
  const all = await Promise.allSettled([1, 2, 3].map(() => copyModel(store.models, "one", "again")));
  const refused = all.flatMap((each) => (each.status === "rejected" ? [(each.reason as { code: string }).code] : []));
  expect(refused).toEqual(["file_exists", "file_exists"]);
  expect(await readFile((await required("again")).file)).toEqual(body);
});

it("a copy takes no second room, and stays when the first name is removed", async () => {
  await models();
  const copy = await copyModel(store.models, "one", "again");
  expect((await stat(copy.file)).ino).toBe((await stat(join(store.dir, "one.gguf"))).ino);
  expect(copy.manifest).toMatchObject({ name: "again", reference: join(elsewhere, "one.gguf") });
  await removeModel(store.models, "one");
  expect(await readFile(copy.file)).toEqual(body);
  expect(await copyModel(store.models, "two", "three")).toMatchObject({
    files: parts.map((part) => join(store.dir, "three", part)),
  });
});

it("a copy replaces nothing, and needs a model", async () => {
  await models();
  await expect(copyModel(store.models, "one", "two")).rejects.toMatchObject({ code: "file_exists" });
  await expect(copyModel(store.models, "none", "x")).rejects.toMatchObject({ code: "model_not_found" });
  await expect(copyModel(store.models, "one", "../x")).rejects.toMatchObject({ code: "usage" });
});

it("an export goes to a file or into a folder, and replaces nothing unasked", async () => {
  await models();
  const one = await required("one");
  const at = (name: string) => join(elsewhere, name);
  expect(await exportModel(one, at("x.gguf"), { force: false })).toMatchObject({ files: [at("x.gguf")] });
  expect(await exportModel(one, elsewhere, { force: false })).toMatchObject({ files: [at("one.gguf")] });
  await expect(exportModel(one, at("x.gguf"), { force: false })).rejects.toMatchObject({ code: "file_exists" });
  await exportModel(one, at("x.gguf"), { force: true });
  expect(await exportModel(one, at("new"), { force: false, asFolder: true })).toMatchObject({
    files: [at("new/one.gguf")],
  });
  await exportModel(await required("two"), at("folder"), { force: false });
  expect((await readdir(elsewhere)).sort()).toEqual(["folder", "new", "one.gguf", "x.gguf"]);
  expect(await readdir(at("folder"))).toEqual(parts);
  expect(await readFile(at("x.gguf"))).toEqual(body);
});
