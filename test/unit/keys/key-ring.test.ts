import { existsSync } from "node:fs";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { storedKeysFile } from "../../../src/config/stored-keys.ts";
import type { ApiKey } from "../../../src/core/config.ts";
import type { Store } from "../../../src/core/store.ts";
import { Authorizer, LOCAL } from "../../../src/gateway/front/authorize.ts";
import { KeyRing } from "../../../src/keys/key-ring.ts";
import { SqliteStore } from "../../../src/store/sqlite/store.ts";

let dataDir: string;
let store: SqliteStore;
let configured: readonly ApiKey[];
let ring: KeyRing;
beforeEach(async () => {
  dataDir = await mkdtemp(join(tmpdir(), "assistant-keys-"));
  configured = [];
  await start();
});
afterEach(async () => {
  await store.close();
  await rm(dataDir, { recursive: true, force: true });
});

async function start(): Promise<void> {
  store = new SqliteStore({ directory: join(dataDir, "store"), report: () => {} });
  ring = new KeyRing({ store, paths: { dataDir }, configured: () => configured });
  await ring.load();
}

/** What becomes of a request with the secret. */
function tenantOf(secret: string | null): string {
  try {
    const { caller } = new Authorizer(() => ring.keys).authorize(secret, "inference");
    return caller.tenant;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

test("without keys everybody is this machine's own user; from the first key on, a request needs one", async () => {
  expect(new Authorizer(() => ring.keys).authorize(null, "inference")).toBe(LOCAL);
  const { secret, key } = await ring.create({ name: "anna", models: ["river"], priority: 80 });
  expect(secret).toMatch(/^sk-assistant-[\w-]{43}$/);
  expect(key).toMatchObject({ name: "anna", state: "active", hint: secret.slice(-4) });
  expect([tenantOf(null), tenantOf("sk-assistant-wrong"), tenantOf(secret)]).toEqual([
    "missing_api_key",
    "invalid_api_key",
    "anna",
  ]);
  expect(new Authorizer(() => ring.keys).authorize(secret, "inference").caller).toEqual({
    tenant: "anna",
    models: ["river"],
    priority: 80,
  });
});

test("a key works after a restart, and its secret is in no file", async () => {
  const { secret } = await ring.create({ name: "anna" });
  await store.close();
  for (const name of ["store/records.db", "keys-required"])
    expect((await readFile(join(dataDir, name))).includes(secret.slice("sk-assistant-".length))).toBe(false);
  await start();
  expect(tenantOf(secret)).toBe("anna");
  expect(JSON.stringify(await ring.list())).not.toContain(secret.slice(0, 30));
});

test("keys of store and configuration stand beside each other, and no name is taken twice", async () => {
  configured = [{ name: "file", sha256: "0".repeat(64) }];
  await ring.create({ name: "anna" });
  expect((await ring.list()).map(({ name, source }) => [name, source])).toEqual([
    ["file", "configuration"],
    ["anna", "store"],
  ]);
  for (const name of ["anna", "file"])
    await expect(ring.create({ name })).rejects.toMatchObject({ code: "key_exists" });
  await expect(ring.rotate("file", 0)).rejects.toMatchObject({ code: "key_not_found" });
  await expect(ring.show("ana")).rejects.toMatchObject({ remedy: 'Did you mean "anna"?' });
  await expect(ring.create({ name: "../x" })).rejects.toMatchObject({ param: "name" });
});

test("the keys are the same array until they change", async () => {
  await ring.create({ name: "anna" });
  const { keys } = ring;
  await ring.load();
  expect(ring.keys).toBe(keys);
  await ring.create({ name: "ben" });
  expect(ring.keys).not.toBe(keys);
});

test("a rotated key's old secret works no longer, or for as long as it was given", async () => {
  const first = await ring.create({ name: "anna" });
  const second = await ring.rotate("anna", 3_600);
  expect([tenantOf(first.secret), tenantOf(second.secret)]).toEqual(["anna", "anna"]);
  expect(second.key.previousUntil).toBeGreaterThan(Date.now() + 3_500_000);
  const third = await ring.rotate("anna", 0);
  expect([first, second, third].map(({ secret }) => tenantOf(secret))).toEqual([
    "invalid_api_key",
    "invalid_api_key",
    "anna",
  ]);
});

test("a revoked or expired key opens nothing, and does not open the doors for all", async () => {
  const { secret } = await ring.create({ name: "anna" });
  expect((await ring.revoke("anna", { forget: false })).state).toBe("revoked");
  expect([tenantOf(secret), tenantOf(null)]).toEqual(["invalid_api_key", "missing_api_key"]);
  await expect(ring.rotate("anna", 0)).rejects.toMatchObject({ code: "invalid_request" });
  await expect(ring.create({ name: "late", expiresAt: Date.now() - 1 })).rejects.toMatchObject({ param: "expiresAt" });
});

test("when the last key is forgotten, requests need none again", async () => {
  await ring.create({ name: "anna" });
  expect(existsSync(storedKeysFile({ dataDir }))).toBe(true);
  await ring.revoke("anna", { forget: true });
  expect([tenantOf(null), ring.keys, existsSync(storedKeysFile({ dataDir }))]).toEqual(["local", [], false]);
});

describe("what a key's requests have stored", () => {
  const put = async (collection: string, tenant: string): Promise<void> => {
    const records = store.collection<{ n: number }>({ name: collection, indexes: {} });
    await store.commit([records.put(`${collection} of ${tenant}`, { n: 1 }, { tenant })]);
  };
  const left = async (): Promise<string[]> => {
    const names = ["responses", "tasks", "usage", "audit"];
    const lists = names.map((name) => store.collection<{ n: number }>({ name, indexes: {} }).list({ limit: 10 }));
    return (await Promise.all(lists)).flatMap(({ records }) => records.map(({ id }) => id));
  };

  test("is deleted with it when it is forgotten, usage and audit aside, so that nobody gets it with the name", async () => {
    const ended: string[] = [];
    ring = new KeyRing({
      store,
      paths: { dataDir },
      configured: () => configured,
      endWorkOf: async (tenant) => void ended.push(tenant, tenantOf(secret)),
    });
    const { secret } = await ring.create({ name: "tmp" });
    for (const collection of ["responses", "tasks", "usage", "audit"]) await put(collection, "tmp");
    await put("responses", "anna");
    await ring.revoke("tmp", { forget: true });
    // Nothing can begin any more when the work is ended.
    expect(ended).toEqual(["tmp", "invalid_api_key"]);
    expect(await left()).toEqual(["responses of anna", "usage of tmp", "audit of tmp"]);
    expect((await ring.create({ name: "tmp" })).key.state).toBe("active");
  });

  test("keeps its name from others where it was left behind, until it is deleted", async () => {
    await put("responses", "tmp");
    await expect(ring.create({ name: "tmp" })).rejects.toMatchObject({
      code: "key_exists",
      remedy: expect.stringContaining("assistant key revoke tmp --forget"),
    });
    await expect(ring.revoke("tmp", { forget: false })).rejects.toMatchObject({ code: "key_not_found" });
    expect(await ring.revoke("tmp", { forget: true })).toMatchObject({ name: "tmp", state: "revoked" });
    await expect(ring.revoke("tmp", { forget: true })).rejects.toMatchObject({ code: "key_not_found" });
    await ring.create({ name: "tmp" });
  });

  test("without a key is no key's: none is called like this machine's own user", async () => {
    await put("responses", "local");
    await expect(ring.create({ name: "local" })).rejects.toMatchObject({ code: "invalid_request", param: "name" });
    await expect(ring.revoke("local", { forget: true })).rejects.toMatchObject({ code: "key_not_found" });
    expect(await left()).toEqual(["responses of local"]);
  });
});

test("a lost store closes the doors instead of opening them, and says how to go on", async () => {
  await ring.create({ name: "anna" });
  await store.close();
  await rm(join(dataDir, "store"), { recursive: true });
  await start();
  expect([tenantOf(null), tenantOf("sk-assistant-any")]).toEqual(["missing_api_key", "invalid_api_key"]);
  expect(ring.problems).toEqual([expect.stringContaining("restore a backup")]);
  const { secret } = await ring.create({ name: "anna" });
  expect([tenantOf(secret), ring.problems]).toEqual(["anna", []]);
});

test("keys that were read before a change never take the place of those that were read after it", async () => {
  await ring.create({ name: "ben" });
  const page = (value: object) => ({ records: [{ id: "anna", value }], next: null });
  const active = { sha256: "a".repeat(64), hint: "aaaa", createdAt: 1 };
  const slow = Promise.withResolvers<object>();
  const list = vi
    .fn()
    .mockReturnValueOnce(slow.promise)
    .mockResolvedValue(page({ ...active, revokedAt: 2 }));
  const shadow = { isShared: false, collection: () => ({ list }) } as unknown as Store;
  const late = new KeyRing({ store: shadow, paths: { dataDir }, configured: () => [] });
  const first = late.load();
  await new Promise(setImmediate);
  const loads = [first, late.load()];
  await new Promise(setImmediate);
  slow.resolve(page(active));
  await Promise.all(loads);
  expect(late.keys).toMatchObject([{ name: "anna", isRevoked: true }]);
});
