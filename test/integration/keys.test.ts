import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { AuditReport } from "../../src/api/audit.ts";
import type { KeyOrder, KeyView, NewKey } from "../../src/api/keys.ts";
import type { UsageByDay } from "../../src/api/usage.ts";
import { type DaemonClient, daemonClient } from "../../src/client/daemon-client.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
let client: DaemonClient;
let url: string;
beforeAll(async () => {
  assistant = await installFakes({ config: "[tasks]\nmax_pending = 2\n", models: { river: {}, lake: {} } });
  client = daemonClient(resolvePaths(assistant.env));
});
afterAll(() => assistant[Symbol.asyncDispose]());

async function run<Answer>(...words: string[]): Promise<Answer> {
  const { stdout, exitCode } = await assistant.run([...words, "--json"]);
  expect(exitCode, stdout).toBe(0);
  return JSON.parse(stdout) as Answer;
}
const chat = (secret: string | null, model = "river") =>
  ask(url, model, "hello", { headers: secret === null ? {} : { authorization: `Bearer ${secret}` } });
const secrets: string[] = [];
async function made(...words: string[]): Promise<string> {
  const { secret } = await run<NewKey>("key", ...words);
  secrets.push(secret);
  return secret;
}

/** What `key create` does, without the price of a command. */
async function granted(order: KeyOrder): Promise<string> {
  const { secret } = await client.createKey(order);
  secrets.push(secret);
  return secret;
}

test("a key that is made without a daemon opens the daemon that starts then, and one made beside it works at once", async () => {
  const anna = await made("create", "anna");
  url = await assistant.serve();
  expect([(await chat(null)).status, (await chat(anna)).status]).toEqual([401, 200]);
  const ben = await made("create", "ben", "--model", "lake", "--expires", "30d");
  expect([(await chat(ben)).status, (await chat(ben, "lake")).status]).toEqual([403, 200]);
  const { keys } = await run<{ keys: KeyView[] }>("key", "list");
  expect(keys.map(({ name, state }) => [name, state])).toEqual([
    ["anna", "active"],
    ["ben", "active"],
  ]);
  expect((await run<KeyView>("key", "show", "ben")).models).toEqual(["lake"]);
});

test("a revoked key is refused on the connection that it was let in on", async () => {
  const carl = await made("create", "carl");
  expect((await chat(carl)).status).toBe(200);
  const next = await made("rotate", "carl", "--grace", "1h");
  expect([(await chat(carl)).status, (await chat(next)).status]).toEqual([200, 200]);
  await run("key", "revoke", "carl");
  const refused = [await chat(carl), await chat(next)];
  expect(refused.map(({ status }) => status)).toEqual([401, 401]);
  expect(refused[1]?.text).toContain("was revoked");
});

const send = async (
  secret: string,
  method: string,
  path: string,
  body?: object,
): Promise<{ status: number; body: Record<string, unknown> }> => {
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  const answer = await fetch(`${url}${path}`, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) });
  return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
};
const later = { model: "river", prompt: "hello", run_at: "2099-01-01T00:00:00Z" };

test("a forgotten key's name comes with nothing that it has stored, and its tasks hold no place", async () => {
  const old = await granted({ name: "tmp" });
  const { body: response } = await send(old, "POST", "/v1/responses", { model: "river", input: "hello" });
  const { body: task } = await send(old, "POST", "/api/v1/tasks", later);
  const paths = [`/v1/responses/${response["id"]}`, `/api/v1/tasks/${task["task_id"]}`];
  const statuses = (secret: string) => Promise.all(paths.map(async (path) => (await send(secret, "GET", path)).status));
  expect(await statuses(old)).toEqual([200, 200]);
  expect((await assistant.run(["key", "revoke", "tmp", "--forget", "--json"])).exitCode).toBe(2);
  await run("key", "revoke", "tmp", "--forget", "--yes");
  const fresh = await granted({ name: "tmp" });
  expect(await statuses(fresh)).toEqual([404, 404]);
  // Two may wait.
  const { body } = await send(fresh, "POST", "/api/v1/tasks/batch", { tasks: [later, later] });
  for (const { task_id: id } of body["tasks"] as { task_id: string }[])
    expect((await send(fresh, "POST", `/api/v1/tasks/${id}/cancel`)).status).toBe(200);
});

test("a batch of tasks that is refused uses up nothing of the key's limit", async () => {
  const gina = await granted({ name: "gina", requestsPerMinute: 3 });
  const refused = await send(gina, "POST", "/api/v1/tasks/batch", { tasks: [later, later, later] });
  expect([refused.status, refused.body["error"]]).toEqual([429, "queue_full"]);
  const statuses = [(await chat(gina)).status, (await chat(gina)).status, (await chat(gina)).status];
  expect([...statuses, (await chat(gina)).status]).toEqual([200, 200, 200, 429]);
});

test("a key stores as much as it may, however many requests come at once, and what is refused says so in each dialect", async () => {
  const hugo = await made("create", "hugo", "--max-stored-records", "3");
  const put = async (key: string): Promise<number> =>
    (await send(hugo, "PUT", `/api/v1/objects/${key}`, { some: key })).status;
  const statuses = await Promise.all(["a", "b", "c", "d", "e", "f"].map(put));
  expect(statuses.filter((status) => status === 201)).toHaveLength(3);
  expect(statuses.filter((status) => status === 400)).toHaveLength(3);

  const refusal = await send(hugo, "PUT", "/api/v1/objects/g", {});
  expect(refusal.body).toMatchObject({ error: { code: "storage_quota_exceeded" } });
  const form = new FormData();
  form.append("purpose", "user_data");
  form.append("file", new Blob(["Rhine"]), "rivers.txt");
  const authorization = `Bearer ${hugo}`;
  const file = await fetch(`${url}/v1/files`, { method: "POST", body: form, headers: { authorization } });
  const told = { code: "storage_quota_exceeded", message: expect.stringContaining("max_stored_records") };
  expect([file.status, await file.json()]).toMatchObject([400, { error: { type: "invalid_request_error", ...told } }]);
  expect(await send(hugo, "POST", "/api/v1/tasks", later)).toMatchObject({
    status: 400,
    body: { error: "storage_quota_exceeded" },
  });
  const ask = { model: "river", input: "hello" };
  expect(await send(hugo, "POST", "/v1/responses", ask)).toMatchObject({ status: 400, body: { error: told } });
  expect((await send(hugo, "POST", "/v1/responses", { ...ask, store: false })).status).toBe(200);
  expect((await chat(hugo)).status).toBe(200);

  const { stored } = await run<KeyView>("key", "show", "hugo");
  expect(stored?.records).toBe(3);
  const { body } = await send(hugo, "GET", "/api/v1/objects");
  const [kept] = body["objects"] as { key: string; expires_at: number }[];
  expect(kept?.expires_at).toBeGreaterThan(Date.now() / 1000);
  await fetch(`${url}/api/v1/objects/${kept?.key}`, { method: "DELETE", headers: { authorization } });
  expect((await send(hugo, "POST", "/v1/responses", ask)).status).toBe(200);
  expect((await client.key("hugo")).stored?.records).toBe(3);
});

test("limits are told in headers, refuse with 429, and those of a day hold over a restart", async () => {
  const dora = await made("create", "dora", "--requests-per-minute", "9", "--requests-per-day", "2");
  const emil = await made("create", "emil", "--tokens-per-day", "2");
  const first = await chat(dora);
  expect(first.headers.get("x-ratelimit-limit-requests")).toBe("2");
  expect(first.headers.get("x-ratelimit-remaining-requests")).toBe("1");
  expect(first.headers.get("x-ratelimit-reset-requests")).toMatch(/^(\d+h)?\d+m\d+s$/);
  expect((await chat(emil)).status).toBe(200);
  expect((await chat(emil)).status).toBe(429);
  await assistant.stop();
  url = await assistant.serve();
  expect((await chat(emil)).status).toBe(429);
  const statuses = [(await chat(dora)).status, (await chat(dora)).status];
  expect(statuses).toEqual([200, 429]);
  const refused = await chat(dora);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThan(0);
  expect(refused.headers.get("x-ratelimit-remaining-requests")).toBe("0");
  const { days } = await run<UsageByDay>("usage", "--by-day", "--key", "dora");
  expect(days.map(({ tenant, model, requests }) => [tenant, model, requests])).toEqual([["dora", "river", 2]]);
});

test("who changed what is recorded, over the network and by commands, with and without a daemon, and no secret is", async () => {
  const root = await made("create", "root", "--scope", "admin", "--scope", "inference");
  const headers = { authorization: `Bearer ${root}`, "content-type": "application/json" };
  const post = (path: string, body: object) =>
    fetch(`${url}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
  expect((await post("/admin/models/lake", { action: "unload" })).status).toBe(202);
  expect((await post("/admin/keys", { name: "anna" })).status).toBe(409);
  for (const body of [{ name: "fred", tokensPerHour: 5 }, { name: "fred", maxInFlight: 0 }, {}])
    expect((await post("/admin/keys", body)).status).toBe(400);
  expect((await post("/admin/keys/anna", {})).status).toBe(400);
  const { entries } = await run<AuditReport>("audit");
  const shown = entries.map(({ actor, via, action, target, status }) => [actor, via, action, target, status]);
  expect(shown).toEqual(
    expect.arrayContaining([
      ["root", "http", "key.create", "anna", 409],
      ["root", "http", "POST /admin/models/:name", "unload lake", 202],
      ["local", "socket", "key.change", "revoke carl", 200],
      ["local", "socket", "key.create", "ben", 201],
      ["local", "command", "key.create", "anna", 200],
    ]),
  );
  for (const secret of secrets) expect(JSON.stringify(entries)).not.toContain(secret.slice(13));
});

test("a backup made beside the daemon is sound, and serves in the store's place", async () => {
  const backup = join(assistant.root, "backup");
  await run("store", "backup", backup);
  expect((await assistant.run(["store", "backup", backup])).exitCode).toBe(1);
  expect(await run("store", "check")).toMatchObject({ problems: [] });
  expect(await readdir(backup)).toEqual(["blobs", "records.db"]);
  expect((await assistant.run(["store", "restore", backup])).stderr).toContain("assistant stop");
  await assistant.stop();
  const damaged = join(assistant.root, "damaged");
  await mkdir(damaged);
  await writeFile(join(damaged, "records.db"), "no database ".repeat(500));
  expect((await assistant.run(["store", "restore", damaged])).stderr).toContain("The backup is damaged");
  const { replaced } = await run<{ replaced: string }>("store", "restore", backup);
  expect(await readdir(replaced)).toContain("records.db");
  url = await assistant.serve();
  expect((await chat(secrets[0] ?? "")).status).toBe(200);
});
