import { mkdir, symlink, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ModelSource, ModelSpec } from "../../../src/core/model.ts";
import { writeManifest } from "../../../src/models/store.ts";
import { WeightsServer } from "../../../src/models/weights-server.ts";
import { modelPart } from "../../support/model-repository.ts";
import { ggufLike, sha256, type TestStore, testStore } from "../../support/store.ts";

const signal = new AbortController().signal;
const body = ggufLike(700_000);
let store: TestStore;
let models: ModelSpec[];
let weightsServer: WeightsServer;

const spec = (name: string, source: ModelSource, aliases: string[] = []): ModelSpec =>
  ({ name, aliases, source }) as unknown as ModelSpec;
const named = (name: string): ModelSource => ({ type: "catalog", name });

beforeEach(async () => {
  store = await testStore();
  models = [];
  weightsServer = new WeightsServer(() => ({ models }), store.models);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
});

/** Puts a model into the store. */
async function put(name: string, reference: string, bytes: Buffer = body): Promise<void> {
  await writeFile(join(store.dir, `${name}.gguf`), bytes);
  const facts = {
    source: "somewhere",
    bytes: bytes.length,
    sha256: sha256(bytes),
    licence: "MIT",
    pulledAt: new Date().toISOString(),
  };
  await writeManifest(store.models, { name, reference, ...facts });
}

test("a configured model of the store is found by name and alias, under its own name", async () => {
  await put("river", "hf:org/repo/river.gguf");
  models = [spec("water", { type: "huggingface", repo: "org/repo", file: "river.gguf" }, ["wet"])];
  const expected = {
    name: "water",
    bytes: body.length,
    sha256: sha256(body),
    reference: "hf:org/repo/river.gguf",
    licence: "MIT",
  };
  expect(await weightsServer.find("water", signal)).toMatchObject(expected);
  expect(await weightsServer.find("wet", signal)).toMatchObject(expected);
});

test("what no configured model is called is not found, though a file of that name is there", async () => {
  await put("river", "/home/me/river.gguf");
  await put("hidden", "/home/me/hidden.gguf");
  models = [spec("river", named("river"), ["stream"])];
  await expect(weightsServer.find("hidden", signal)).rejects.toMatchObject({
    code: "model_not_found",
    remedy: "It has river, stream.",
  });
  await expect(weightsServer.find("strea", signal)).rejects.toMatchObject({ remedy: "Did you mean stream?" });
  for (const name of ["", "../river", join(store.dir, "river.gguf"), "river.gguf/../river", "x".repeat(100_000)]) {
    await expect(weightsServer.find(name, signal), name.slice(0, 40)).rejects.toMatchObject({
      code: "model_not_found",
    });
  }
});

test("a file outside the store is not handed out, and its path is not told", async () => {
  await using elsewhere = await testStore();
  const file = join(elsewhere.dir, "own.gguf");
  await writeFile(file, body);
  await put("own", "another of this name");
  models = [
    spec("own", { type: "file", path: file }),
    spec("gone", named("gone")),
    spec("sly", { type: "file", path: `${store.dir}/../${file}` }),
  ];
  for (const { name } of models) {
    const error = await weightsServer.find(name, signal).catch((thrown: unknown) => thrown as Error);
    expect(error).toMatchObject({ code: "model_not_pulled" });
    expect((error as Error).message).not.toContain("/");
  }
  // A link in the store was put there by whoever owns the store.
  await symlink(file, join(store.dir, "linked.gguf"));
  models = [spec("linked", named("linked"))];
  expect((await weightsServer.find("linked", signal)).sha256).toBe(sha256(body));
});

test("where the weights came from is told only if it means something elsewhere", async () => {
  models = ["river", "web", "smollm2"].map((name) => spec(name, named(name)));
  await put("river", "/home/me/secret/river.gguf");
  await put("web", "https://example.com/web.gguf?token=1");
  await put("smollm2", "smollm2");
  expect((await weightsServer.find("river", signal)).reference).toBeNull();
  expect((await weightsServer.find("web", signal)).reference).toBeNull();
  expect((await weightsServer.find("smollm2", signal)).reference).toBe("smollm2");
});

test("a file that was put there by hand is hashed, and again when it changes", async () => {
  const file = join(store.dir, "hand.gguf");
  models = [spec("hand", named("hand"))];
  await writeFile(file, body);
  expect(await weightsServer.find("hand", signal)).toMatchObject({
    sha256: sha256(body),
    reference: null,
    licence: null,
  });
  const other = ggufLike(body.length);
  await writeFile(file, other);
  await utimes(file, 1, 1);
  expect((await weightsServer.find("hand", signal)).sha256).toBe(sha256(other));
  // Hashing stops with the caller; what is known needs none.
  const gone = AbortSignal.abort(new Error("left"));
  expect((await weightsServer.find("hand", gone)).sha256).toBe(sha256(other));
  await utimes(file, 2, 2);
  await expect(weightsServer.find("hand", gone)).rejects.toThrow();
});

test("bytes are read from any offset to the end, and a file that shrinks is noticed", async () => {
  await put("river", "x");
  models = [spec("river", named("river"))];
  const found = await weightsServer.find("river", signal);
  for (const offset of [0, 1, 65_536, 699_999, 700_000]) {
    const parts: Buffer[] = [];
    for await (const part of weightsServer.read(found, found.sha256, offset)) parts.push(part);
    expect(Buffer.concat(parts).equals(body.subarray(offset)), String(offset)).toBe(true);
  }
  await writeFile(found.paths[0] ?? "", body.subarray(0, 300_000));
  const reading = async (): Promise<void> => {
    for await (const part of weightsServer.read(found, found.sha256, 0)) expect(part.length).toBeGreaterThan(0);
  };
  await expect(reading()).rejects.toMatchObject({ code: "digest_mismatch" });
});

test("a model of several files is handed out file by file, each by its digest", async () => {
  const parts = [modelPart(1, 2), modelPart(2, 2)];
  const folder = join(store.dir, "river");
  await mkdir(folder);
  for (const [index, part] of parts.entries())
    await writeFile(join(folder, `river-0000${index + 1}-of-00002.gguf`), part);
  models = [spec("river", named("river"))];
  const found = await weightsServer.find("river", signal);
  expect(found.files).toMatchObject(
    parts.map((part) => ({ role: "weights", bytes: part.length, sha256: sha256(part) })),
  );
  expect(found.bytes).toBe((parts[0]?.length ?? 0) * 2);
  for (const part of parts) {
    const read: Buffer[] = [];
    for await (const piece of weightsServer.read(found, sha256(part), 0)) read.push(piece);
    expect(Buffer.concat(read)).toEqual(part);
  }
});
