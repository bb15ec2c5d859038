import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { Hub } from "../../../src/models/hub.ts";
import { type Hub as FakeHub, startHub } from "../../fakes/hub.ts";
import { documentsIn, quick } from "../../support/store.ts";

let fake: FakeHub;
let dir: string;
let now = 1_000_000;
beforeEach(async () => {
  fake = await startHub();
  dir = await mkdtemp(join(tmpdir(), "assistant-hub-"));
});
afterEach(async () => {
  await fake[Symbol.asyncDispose]();
  await rm(dir, { recursive: true, force: true });
});

const hub = (): Hub =>
  new Hub({ env: { HF_ENDPOINT: fake.url }, documents: documentsIn(dir), timing: quick, now: () => now });
const serve = (path: string, value: unknown): void => fake.set(path, { body: Buffer.from(JSON.stringify(value)) });

it("finds repositories with what the hub says of them", async () => {
  serve("/api/models", [
    {
      id: "ORG/model-GGUF",
      downloads: 12,
      tags: ["gguf", "license:apache-2.0"],
      gguf: { total: 7_615_616_512, context_length: 32_768 },
      gated: false,
    },
    { id: "ORG/closed", gated: "manual" },
    { id: "../evil" },
    "nonsense",
  ]);
  expect(await hub().search("model", 20)).toEqual([
    {
      repo: "ORG/model-GGUF",
      licence: "apache-2.0",
      parameters: 7_615_616_512,
      contextLength: 32_768,
      downloads: 12,
      isGated: false,
    },
    { repo: "ORG/closed", licence: null, parameters: null, contextLength: null, downloads: null, isGated: true },
  ]);
});

it("asks for a repository's files once an hour", async () => {
  const path = "/api/models/ORG/model/revision/main";
  serve(path, {
    siblings: [{ rfilename: "a.gguf", size: 5, lfs: { size: 7, sha256: "ab" } }, { rfilename: "README" }],
  });
  expect(await hub().files("ORG/model")).toEqual([
    { path: "a.gguf", bytes: 7, sha256: "ab" },
    { path: "README", bytes: null, sha256: null },
  ]);
  expect(await hub().has("ORG/model", "a.gguf")).toBe(true);
  expect(await hub().has("ORG/model", "b.gguf")).toBe(false);
  expect(fake.requests).toHaveLength(1);
  now += 3_600_001;
  fake.set(path, { status: 404 });
  expect(await hub().has("ORG/model", null)).toBe(false);
  expect(fake.requests).toHaveLength(2);
});

it("says what it knew when the hub cannot be asked, and nothing when it knew nothing", async () => {
  const path = "/api/models/ORG/model/revision/main";
  serve(path, { siblings: [{ rfilename: "a.gguf" }] });
  await hub().files("ORG/model");
  now += 3_600_001;
  fake.set(path, { status: 500 });
  expect(await hub().has("ORG/model", "a.gguf")).toBe(true);
  fake.set("/api/models/ORG/other/revision/main", { status: 500 });
  expect(await hub().has("ORG/other", null)).toBeNull();
});

it("names the host when a search fails", async () => {
  fake.set("/api/models", { status: 503 });
  await expect(hub().search("x", 5)).rejects.toMatchObject({
    code: "pull_failed",
    message: expect.stringContaining(new URL(fake.url).host),
  });
  fake.set("/api/models", { body: Buffer.from("<html>") });
  await expect(hub().search("x", 5)).rejects.toMatchObject({ code: "pull_failed" });
});
