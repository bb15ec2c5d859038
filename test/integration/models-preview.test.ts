import { mkdir, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { afterEach, beforeEach, expect, it, onTestFinished, vi } from "vitest";
import { estimateMemory } from "../../src/models/fit.ts";
import { previewModel } from "../../src/models/preview.ts";
import { type Hub, startHub } from "../fakes/hub.ts";
import { smallModel } from "../support/handed-models.ts";
import { modelPart, projectorFile, serveRepository } from "../support/model-repository.ts";
import { quick, type TestStore, testStore } from "../support/store.ts";

let hub: Hub;
let store: TestStore;
beforeEach(async () => {
  hub = await startHub();
  store = await testStore();
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await store[Symbol.asyncDispose]();
  await hub[Symbol.asyncDispose]();
});

const options = () => ({
  store: store.models,
  env: { HF_ENDPOINT: hub.url, PATH: "/nowhere" },
  allowPrivate: true,
  timing: quick,
});
const settings = {
  contextTokens: 256,
  slots: 1,
  microBatchTokens: 64,
  gpuLayers: 0,
  cacheTypeK: "f16",
  cacheTypeV: "f16",
  kind: "chat",
} as const;

it("a model shows its facts and memory before it is downloaded, from its header alone", async () => {
  const temporary = join(store.dir, "..", `${basename(store.dir)}-temporary`);
  await mkdir(temporary);
  onTestFinished(() => rm(temporary, { recursive: true }));
  vi.stubEnv("TMPDIR", temporary);
  const body = smallModel(20_000_000);
  hub.set("/m.gguf", { body });
  const { preview, looked } = await previewModel(`${hub.url}/m.gguf`, options(), (file) =>
    estimateMemory(file, settings),
  );
  expect(preview).toMatchObject({
    name: "m",
    bytes: body.length,
    facts: { architecture: "llama", bytes: body.length, trainContextTokens: 512 },
    capabilities: { type: "chat", tools: false },
    problem: null,
  });
  expect(looked?.weights.hostBytes).toBeGreaterThan(19_000_000);
  expect(hub.requests.map(({ range, status }) => [range, status])).toEqual([["bytes=0-1048575", 206]]);
  expect(await store.files()).toEqual([]);
  expect(await readdir(temporary)).toEqual([]);
});

it("a repository shows all files of the model, and what the projector adds", async () => {
  const files = {
    "m-Q8_0-00001-of-00002.gguf": modelPart(1, 2),
    "m-Q8_0-00002-of-00002.gguf": modelPart(2, 2),
    "mmproj-F16.gguf": projectorFile,
  };
  serveRepository(hub, "acme/m", files);
  const { preview } = await previewModel("hf:acme/m", options(), async () => null);
  expect(preview.files.map(({ name, role }) => [name, role])).toEqual([
    ["m-Q8_0-00001-of-00002.gguf", "weights"],
    ["m-Q8_0-00002-of-00002.gguf", "weights"],
    ["mmproj-F16.gguf", "projector"],
  ]);
  expect(preview).toMatchObject({ licence: "mit", capabilities: { tools: true, vision: true, audio: false } });
});

it("what is no model is refused as a pull refuses it", async () => {
  hub.set("/m.gguf", { body: Buffer.from("<!doctype html><p>Sign in") });
  await expect(previewModel(`${hub.url}/m.gguf`, options(), async () => null)).rejects.toMatchObject({
    code: "model_invalid",
    message: expect.stringContaining("a web page"),
  });
});

it("a package shows nothing of its file, and says so", async () => {
  const { preview } = await previewModel("npm:tiny", options(), async () => null);
  expect(preview).toMatchObject({ name: "tiny", facts: null, problem: expect.stringContaining("npm package tiny") });
});
