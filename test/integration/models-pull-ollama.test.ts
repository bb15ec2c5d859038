import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { importModels } from "../../commands/support/models/import.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { type Hub, startHub } from "../fakes/hub.ts";
import { modelPart, projectorFile } from "../support/model-repository.ts";
import { sha256, type TestStore, testStore } from "../support/store.ts";

let hub: Hub;
let store: TestStore;
let folder: string;
const weights = modelPart(1, 1);
const template = Buffer.from("{{ .Prompt }}");

beforeEach(async () => {
  hub = await startHub();
  store = await testStore();
  folder = await mkdtemp(join(tmpdir(), "assistant-ollama-"));
});
afterEach(async () => {
  await store[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
  await rm(folder, { recursive: true, force: true });
});

const layer = (kind: string, body: Buffer) => ({
  mediaType: `application/vnd.ollama.image.${kind}`,
  digest: `sha256:${sha256(body)}`,
  size: body.length,
});
const manifest = (...layers: object[]) =>
  Buffer.from(JSON.stringify({ schemaVersion: 2, layers: [layer("template", template), ...layers] }));
const usual = manifest(layer("model", weights));

/** Serves a model as Ollama's registry does: blobs redirect to a storage. */
function serve(path: string, tag: string, body: Buffer, blobs: readonly Buffer[]): void {
  hub.set(`/v2/${path}/manifests/${tag}`, { body });
  for (const blob of blobs) {
    hub.set(`/v2/${path}/blobs/sha256:${sha256(blob)}`, { redirectTo: `${hub.url}/storage/${sha256(blob)}` });
    hub.set(`/storage/${sha256(blob)}`, { body: blob });
  }
}

/** Puts a model where Ollama would. */
async function keep(path: string, tag: string, body: Buffer, blobs: readonly Buffer[]): Promise<void> {
  const place = join(folder, "manifests/registry.ollama.ai", path);
  await mkdir(place, { recursive: true });
  await mkdir(join(folder, "blobs"), { recursive: true });
  await writeFile(join(place, tag), body);
  for (const blob of blobs) await writeFile(join(folder, "blobs", `sha256-${sha256(blob)}`), blob);
}

const env = () => ({ OLLAMA_REGISTRY: hub.url, OLLAMA_MODELS: folder });

describe("a model of Ollama", () => {
  it("comes from the registry, checked against the digest of its manifest", async () => {
    serve("library/tiny", "1b", usual, [weights]);
    expect(await store.pull("ollama:tiny:1b", { env: env() })).toMatchObject({
      name: "tiny-1b",
      reference: "ollama:tiny:1b",
      sha256: sha256(weights),
      projector: null,
    });
  });

  it("whose blob is not what the manifest says is refused", async () => {
    serve("library/tiny", "latest", usual, [weights]);
    hub.set(`/storage/${sha256(weights)}`, { body: Buffer.alloc(weights.length, "x") });
    await expect(store.pull("ollama:tiny", { env: env() })).rejects.toMatchObject({ code: "digest_mismatch" });
    expect(await store.files()).toEqual([]);
  });

  it("brings its projector", async () => {
    serve("me/eyes", "latest", manifest(layer("model", weights), layer("projector", projectorFile)), [
      weights,
      projectorFile,
    ]);
    const pulled = await store.pull("ollama:me/eyes", { env: env() });
    expect(pulled).toMatchObject({ name: "eyes", projector: join(store.dir, "eyes/mmproj.gguf") });
  });

  it("that Ollama has on this machine is linked, and nobody is asked", async () => {
    await keep("library/tiny", "latest", usual, [weights]);
    const { file } = await store.pull("ollama:tiny", { env: env() });
    expect((await stat(file)).ino).toBe((await stat(join(folder, "blobs", `sha256-${sha256(weights)}`))).ino);
    expect(hub.requests).toEqual([]);
  });

  it("is downloaded where the copy on this machine is damaged", async () => {
    await keep("library/tiny", "latest", usual, []);
    await writeFile(join(folder, "blobs", `sha256-${sha256(weights)}`), "GGUF");
    serve("library/tiny", "latest", usual, [weights]);
    expect(await store.pull("ollama:tiny", { env: env() })).toMatchObject({ sha256: sha256(weights) });
  });

  it("that does not exist, or is an adapter, is refused", async () => {
    await expect(store.pull("ollama:none", { env: env() })).rejects.toMatchObject({
      code: "unknown_source",
      message: expect.stringContaining("there is no model library/none:latest"),
    });
    serve("me/lora", "latest", manifest(layer("model", weights), layer("adapter", weights)), []);
    await expect(store.pull("ollama:me/lora", { env: env() })).rejects.toMatchObject({
      message: expect.stringContaining("LoRA adapter"),
    });
    hub.set("/v2/library/odd/manifests/latest", { body: Buffer.from("<html>") });
    await expect(store.pull("ollama:odd", { env: env() })).rejects.toMatchObject({
      message: expect.stringContaining("The manifest of library/odd:latest cannot be read"),
    });
  });
});

it("all models of a folder of Ollama are imported, and a damaged one leaves the others", async () => {
  await keep("library/tiny", "latest", usual, [weights]);
  await keep("me/mine", "v1", usual, []);
  await keep("library/gone", "latest", manifest(layer("model", template)), []);
  const root = join(folder, "installation");
  const installation = {
    HOME: root,
    ASSISTANT_DATA_DIR: join(root, "data"),
    ASSISTANT_CONFIG: join(root, "config.toml"),
    OLLAMA_REGISTRY: hub.url,
  };
  const context = { env: installation, paths: resolvePaths(installation), debug: false };
  const { models, problems } = await importModels(folder, { context, name: null, sha256: null, progress: null });
  expect(models.map(({ name }) => name)).toEqual(["tiny", "mine-v1"]);
  expect(problems).toMatchObject([{ reference: "ollama:registry.ollama.ai/library/gone:latest" }]);
});
