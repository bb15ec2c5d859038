import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it } from "vitest";
import { piperMetadata, readPiperVoice } from "../../src/core/piper-voice.ts";
import { type Hub, startHub } from "../fakes/hub.ts";
import { onnxLike, piperConfig } from "../support/onnx.ts";
import { sha256, type TestStore, testStore } from "../support/store.ts";

const voice = onnxLike(10_000);
const config = Buffer.from(piperConfig());
const whole = Buffer.concat([voice, piperMetadata(piperConfig())]);
const IN_REPOSITORY = "en/en_US/joe/medium/en_US-joe-medium.onnx";

let hub: Hub;
let store: TestStore;
let folder: string;
beforeEach(async () => {
  hub = await startHub();
  store = await testStore();
  folder = await mkdtemp(join(tmpdir(), "assistant-voices-"));
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const env = () => ({ HF_ENDPOINT: hub.url, PATH: process.env["PATH"] });

function repository(lfs: object = { sha256: sha256(voice), size: voice.length }): void {
  const siblings = [
    { rfilename: IN_REPOSITORY, lfs },
    { rfilename: `${IN_REPOSITORY}.json`, size: config.length },
    { rfilename: "en/lone.onnx" },
  ];
  hub.set("/api/models/acme/voices/revision/main", {
    body: Buffer.from(JSON.stringify({ siblings, cardData: { license: "mit" } })),
  });
  hub.set(`/acme/voices/resolve/main/${IN_REPOSITORY}`, { body: voice });
  hub.set(`/acme/voices/resolve/main/${IN_REPOSITORY}.json`, { body: config });
}

it.each([
  ["the path", `hf:acme/voices/${IN_REPOSITORY}`],
  ["the name", "hf:acme/voices:en_US-joe-medium"],
  ["nothing but the repository", "acme/voices"],
])("a voice of the hub is known by %s, and its two files become one", async (_, reference) => {
  repository();
  const pulled = await store.pull(reference, { env: env() });
  expect(pulled).toMatchObject({
    name: "en_US-joe-medium",
    reference: `hf:acme/voices/${IN_REPOSITORY}`,
    licence: "mit",
    sha256: sha256(whole),
  });
  expect((await readPiperVoice(pulled.file)).config.dataset).toBe("joe");
  const asked = hub.requests.length;
  expect(await store.pull(pulled.reference, { env: env() })).toMatchObject({ alreadyPresent: true });
  expect(hub.requests).toHaveLength(asked);
});

it("the hub's digest is that of the voice, and a file that has another is deleted", async () => {
  repository({ sha256: sha256(whole), size: voice.length });
  await expect(store.pull("acme/voices", { env: env() })).rejects.toMatchObject({ code: "digest_mismatch" });
  expect(await store.files()).toEqual([]);
});

it("a voice without its config is refused before it is downloaded", async () => {
  repository();
  await expect(store.pull("hf:acme/voices/en/lone.onnx", { env: env() })).rejects.toMatchObject({
    code: "unknown_source",
    message: expect.stringContaining("en/lone.onnx without en/lone.onnx.json"),
  });
  hub.set("/joe.onnx", { body: voice });
  await expect(store.pull(`${hub.url}/joe.onnx`)).rejects.toMatchObject({
    message: expect.stringContaining("the voice's config NAME.onnx.json: it answered 404"),
  });
  expect(hub.requests.map(({ path }) => path)).not.toContain("/joe.onnx");
});

it("a voice of an address has its config beside it, and the digest that was asked for", async () => {
  hub.set("/v1/joe.onnx", { body: voice, cutAfter: [4_000] });
  hub.set("/v1/joe.onnx.json", { body: config });
  await expect(store.pull(`${hub.url}/v1/joe.onnx`, { sha256: sha256(whole) })).rejects.toMatchObject({
    code: "digest_mismatch",
  });
  const pulled = await store.pull(`${hub.url}/v1/joe.onnx`, { sha256: sha256(voice) });
  expect(await readFile(pulled.file)).toEqual(whole);
});

it.each([
  ["tar.bz2", "j"],
  ["tar.gz", "z"],
])("a voice in a .%s is taken out of it, and the archive's digest checked", async (suffix, flag) => {
  const tar = (...args: string[]) => promisify(execFile)("tar", args, { cwd: folder });
  await promisify(execFile)("mkdir", [join(folder, "vits-joe")]);
  await writeFile(join(folder, "vits-joe/joe.onnx"), voice);
  await writeFile(join(folder, "vits-joe/tokens.txt"), "_ 0\n");
  await tar(`-c${flag}f`, "alone.tar", "vits-joe");
  await writeFile(join(folder, "vits-joe/joe.onnx.json"), config);
  await tar(`-c${flag}f`, "voice.tar", "vits-joe");
  const archive = await readFile(join(folder, "voice.tar"));
  hub.set(`/vits-joe.${suffix}`, { body: archive });
  const reference = `${hub.url}/vits-joe.${suffix}`;
  await expect(store.pull(reference, { env: env(), sha256: sha256(voice) })).rejects.toMatchObject({
    code: "digest_mismatch",
  });
  const pulled = await store.pull(reference, { env: env(), sha256: sha256(archive) });
  expect([pulled.name, await readFile(pulled.file)]).toEqual(["vits-joe", whole]);
  expect(await store.files()).toEqual(["vits-joe.json", "vits-joe.onnx"]);
  hub.set(`/alone.${suffix}`, { body: await readFile(join(folder, "alone.tar")) });
  await expect(store.pull(`${hub.url}/alone.${suffix}`, { env: env() })).rejects.toMatchObject({
    message: expect.stringContaining("vits-joe/joe.onnx without vits-joe/joe.onnx.json"),
  });
});
