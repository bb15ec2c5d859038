import { mkdir, readFile, rename, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { getModel } from "../../src/models/store.ts";
import { type Hub, startHub } from "../fakes/hub.ts";
import { modelPart, projectorFile, serveRepository } from "../support/model-repository.ts";
import { sha256, type TestStore, testStore } from "../support/store.ts";

let hub: Hub;
let store: TestStore;
const parts = {
  "Q8_0/m-Q8_0-00001-of-00002.gguf": modelPart(1, 2),
  "Q8_0/m-Q8_0-00002-of-00002.gguf": modelPart(2, 2),
};
const files = { ...parts, "m-Q4_K_M.gguf": modelPart(1, 1), "mmproj-F16.gguf": projectorFile };
const env = () => ({ HF_ENDPOINT: hub.url });
const pullSet = (options = {}) => store.pull("hf:acme/m:Q8_0", { env: env(), ...options });
const inSet = (name: string) => join(store.dir, "m-Q8_0", name);

beforeEach(async () => {
  hub = await startHub();
  store = await testStore();
  serveRepository(hub, "acme/m", files);
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

describe("a model of several files", () => {
  it("arrives whole in a folder, with its projector, and is not pulled twice", async () => {
    const pulled = await pullSet();
    expect(pulled).toMatchObject({
      name: "m-Q8_0",
      reference: "hf:acme/m/Q8_0/m-Q8_0-00001-of-00002.gguf",
      file: inSet("m-Q8_0-00001-of-00002.gguf"),
      projector: inSet("mmproj-F16.gguf"),
      bytes: files["Q8_0/m-Q8_0-00001-of-00002.gguf"].length * 2 + projectorFile.length,
      licence: "mit",
    });
    expect(await readFile(inSet("m-Q8_0-00002-of-00002.gguf"))).toEqual(files["Q8_0/m-Q8_0-00002-of-00002.gguf"]);
    expect(await store.files()).toEqual(["m-Q8_0", "m-Q8_0.json"]);
    const downloads = store.progress.filter(({ phase }) => phase === "download");
    expect(downloads.map(({ bytes }) => bytes)).toEqual(downloads.map(({ bytes }) => bytes).sort((a, b) => a - b));
    expect(downloads.at(-1)).toMatchObject({ bytes: pulled.bytes, totalBytes: pulled.bytes });
    const asked = hub.requests.length;
    expect(await pullSet()).toMatchObject({ alreadyPresent: true, sha256: pulled.sha256 });
    // By a part's name neither: the network may be gone by now.
    const byPart = await store.pull("hf:acme/m/Q8_0/m-Q8_0-00002-of-00002.gguf", { env: env() });
    expect(byPart).toMatchObject({ name: "m-Q8_0", alreadyPresent: true });
    expect(hub.requests).toHaveLength(asked + 1);
  });

  it("goes on where a pull of it was ended, and asks for no part twice", async () => {
    const stop = new AbortController();
    const second = "/acme/m/resolve/main/Q8_0/m-Q8_0-00002-of-00002.gguf";
    hub.set(second, { body: parts["Q8_0/m-Q8_0-00002-of-00002.gguf"], pieceMs: 20 });
    const stopped = pullSet({
      signal: stop.signal,
      onProgress: ({ source }: { source: string }) => source.includes("file 2 of 3") && stop.abort(new Error("enough")),
    });
    await expect(stopped).rejects.toThrow("enough");
    expect(await store.files()).toEqual([".m-Q8_0.parts"]);
    expect(await getModel(store.models, "m-Q8_0")).toBeNull();
    serveRepository(hub, "acme/m", files);
    await pullSet();
    const first = hub.requests.filter(({ path }) => path.endsWith("00001-of-00002.gguf"));
    expect(first.map(({ status }) => status)).toEqual([200, 416]);
    expect(await store.files()).toEqual(["m-Q8_0", "m-Q8_0.json"]);
  });

  it("is not downloaded again when a crash came just before it got its name", async () => {
    const { sha256: digest } = await pullSet();
    await rename(join(store.dir, "m-Q8_0"), join(store.dir, ".m-Q8_0.parts"));
    const before = hub.requests.length;
    expect(await pullSet()).toMatchObject({ sha256: digest, alreadyPresent: false });
    expect(hub.requests.slice(before).map(({ path }) => path)).toEqual(["/api/models/acme/m/revision/main"]);
  });

  it("of which a file was cut off is made whole", async () => {
    await pullSet();
    await truncate(inSet("m-Q8_0-00002-of-00002.gguf"), 100);
    expect(await pullSet()).toMatchObject({ alreadyPresent: false });
    expect(await readFile(inSet("m-Q8_0-00002-of-00002.gguf"))).toEqual(parts["Q8_0/m-Q8_0-00002-of-00002.gguf"]);
  });

  it("whose parts do not belong together is refused", async () => {
    serveRepository(hub, "acme/m", { ...files, "Q8_0/m-Q8_0-00002-of-00002.gguf": modelPart(1, 2) });
    await expect(pullSet()).rejects.toMatchObject({
      code: "model_invalid",
      message: expect.stringContaining("expected part 2 of 2 of the model, found part 1 of 2"),
    });
    expect(await getModel(store.models, "m-Q8_0")).toBeNull();
  });

  it("does not begin without room for all of it", async () => {
    await expect(pullSet({ free: async () => 50_000 })).rejects.toMatchObject({ code: "disk_full" });
    expect(hub.requests.map(({ path }) => path)).toEqual(["/api/models/acme/m/revision/main"]);
  });

  it("comes from an address of one of its parts, and from a folder without being copied", async () => {
    for (const [path, body] of Object.entries(parts)) hub.set(`/${path}`, { body });
    const pulled = await store.pull(`${hub.url}/Q8_0/m-Q8_0-00002-of-00002.gguf`);
    expect(pulled).toMatchObject({ name: "m-Q8_0", projector: null });
    await using other = await testStore();
    await mkdir(join(other.dir, "mine"));
    for (const [path, body] of Object.entries(files).slice(0, 2))
      await writeFile(join(other.dir, "mine", path.slice(5)), body);
    await writeFile(join(other.dir, "mine/mmproj.gguf"), projectorFile);
    const imported = await store.pull("./mine", { cwd: other.dir });
    expect(imported).toMatchObject({ name: "mine", files: [{}, {}, { name: "mmproj.gguf", role: "projector" }] });
    expect((await stat(imported.file)).ino).toBe((await stat(join(other.dir, "mine/m-Q8_0-00001-of-00002.gguf"))).ino);
  });

  it("is not taken for a folder that holds several, or a part of one", async () => {
    await writeFile(join(store.dir, "m-00001-of-00002.gguf"), modelPart(1, 2));
    await using other = await testStore();
    await writeFile(join(other.dir, "b-00001-of-00002.gguf"), modelPart(1, 2));
    await expect(store.pull(other.dir)).rejects.toMatchObject({
      message: expect.stringContaining("b-00002-of-00002.gguf is missing"),
    });
    await writeFile(join(other.dir, "a.gguf"), modelPart(1, 1));
    await writeFile(join(other.dir, "c.gguf"), modelPart(1, 1));
    await expect(store.pull(other.dir)).rejects.toMatchObject({
      message: expect.stringContaining("holds several models: a.gguf, c.gguf"),
    });
  });
});

describe("bytes that another model of the store has", () => {
  it("are linked and not downloaded", async () => {
    const first = await store.pull("hf:acme/m:Q4_K_M", { env: env() });
    const before = hub.requests.length;
    const second = await store.pull("hf:acme/m:Q4_K_M", { env: env(), name: "again" });
    expect((await stat(second.file)).ino).toBe((await stat(first.file)).ino);
    expect(hub.requests.slice(before).map(({ path }) => path)).toEqual(["/api/models/acme/m/revision/main"]);
    expect(second.sha256).toBe(first.sha256);
  });
});

it("a model that was pulled without its projector gets it, and its weights are not downloaded again", async () => {
  const { "mmproj-F16.gguf": _, ...without } = files;
  serveRepository(hub, "acme/m", without);
  const { sha256: digest } = await store.pull("hf:acme/m", { env: env() });
  serveRepository(hub, "acme/m", files);
  const before = hub.requests.length;
  const again = await store.pull("hf:acme/m", { env: env() });
  expect(again).toMatchObject({ name: "m-Q4_K_M", files: [{ sha256: digest }, { role: "projector" }] });
  expect(hub.requests.slice(before).map(({ path }) => path)).toEqual([
    "/api/models/acme/m/revision/main",
    "/acme/m/resolve/main/mmproj-F16.gguf",
  ]);
  expect(await store.files()).toEqual(["m-Q4_K_M", "m-Q4_K_M.json"]);
});

describe("a gated repository", () => {
  it("is refused before anything is downloaded, with the way to get access", async () => {
    serveRepository(hub, "acme/m", files, { gated: "manual" });
    await expect(pullSet()).rejects.toMatchObject({
      code: "access_denied",
      remedy: `Accept its terms at ${hub.url}/acme/m, then set HF_TOKEN to a token from ${hub.url}/settings/tokens.`,
    });
  });

  it("that the token's account may not read says so", async () => {
    const path = "m-Q4_K_M.gguf";
    serveRepository(hub, "acme/m", files, { gated: "auto", faults: { [path]: { status: 403 } } });
    await expect(store.pull("hf:acme/m", { env: { ...env(), HF_TOKEN: "hf_x" } })).rejects.toMatchObject({
      code: "access_denied",
      remedy: expect.stringContaining("with the account that HF_TOKEN belongs to"),
    });
  });
});

describe("a large file", () => {
  const body = Buffer.concat([modelPart(1, 1), Buffer.alloc(3_000_000, "x")]);
  const pieces = { minBytes: 1_000_000, pieceBytes: 250_000, connections: 4 };

  it("arrives over several connections where the server gives ranges, whole and in order", async () => {
    hub.set("/m.gguf", { body, acceptRanges: true, pieceMs: 1 });
    const pulled = await store.pull(`${hub.url}/m.gguf`, { pieces });
    expect(pulled.sha256).toBe(sha256(body));
    expect(hub.requests.map(({ range }) => range).slice(1)).toContain("bytes=250000-499999");
    expect(hub.requests).toHaveLength(Math.ceil(body.length / pieces.pieceBytes));
    const bytes = store.progress.filter(({ phase }) => phase === "download").map((progress) => progress.bytes);
    expect(bytes).toEqual(bytes.toSorted((a, b) => a - b));
  });

  it("arrives over one where it does not", async () => {
    hub.set("/m.gguf", { body });
    await store.pull(`${hub.url}/m.gguf`, { pieces });
    expect(hub.requests).toHaveLength(1);
  });

  it("goes on behind the last piece in order when one of them breaks", async () => {
    hub.set("/m.gguf", { body, acceptRanges: true, cutAfter: [2_000_000, 100_000, 100_000] });
    const pulled = await store.pull(`${hub.url}/m.gguf`, { pieces });
    expect(pulled.sha256).toBe(sha256(body));
    expect(hub.requests.filter(({ range }) => /^bytes=\d+-$/.test(range ?? ""))).not.toEqual([]);
  });
});
