import { createHash } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import { afterEach, expect, test } from "vitest";
import type { UsageReport } from "../../src/api/usage.ts";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, fake, installFakes, open } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

/** Secrets that no name holds. */
const secret = (name: string): string => `sk-${name}-4711`;
const authorization = (name: string): Record<string, string> => ({ authorization: `Bearer ${secret(name)}` });
const section = (name: string, more = ""): string =>
  `[[server.api_key_sha256]]\nname = "${name}"\nsha256 = "${createHash("sha256").update(secret(name)).digest("hex")}"\n${more}\n`;

const usage = async (): Promise<UsageReport> =>
  JSON.parse((await assistant.run(["usage", "--json"])).stdout) as UsageReport;

test("each key's requests and tokens are told by its name, also after a restart, and never the key", async () => {
  assistant = await installFakes({ models: { river: {}, lake: {} }, config: section("anna") + section("ben") });
  let url = await assistant.serve();
  const told = { promptTokens: 0, completionTokens: 0 };
  for (const model of ["river", "river", "lake"]) {
    const { text } = await ask(url, model, `count ${fake({ tokens: 5 })}`, { headers: authorization("anna") });
    const counts = (JSON.parse(text) as { usage: { prompt_tokens: number; completion_tokens: number } }).usage;
    if (model === "river") {
      told.promptTokens += counts.prompt_tokens;
      told.completionTokens += counts.completion_tokens;
    }
  }
  await ask(url, "river", "me too", { headers: authorization("ben"), stream: true });
  const before = await usage();
  expect(before.usage.map(({ tenant, model, requests }) => [tenant, model, requests])).toEqual([
    ["anna", "lake", 1],
    ["anna", "river", 2],
    ["ben", "river", 1],
  ]);
  expect(before.usage[1]).toMatchObject({ failed: 0, ...told });
  expect(before.usage[2]?.completionTokens).toBeGreaterThan(0);
  await assistant.stop();
  url = await assistant.serve();
  expect(await usage()).toEqual(before);
  await ask(url, "river", "once more", { headers: authorization("ben") });
  expect((await usage()).usage[2]?.requests).toBe(2);
  const shown = await assistant.run(["usage"]);
  expect(shown.stdout).toMatch(/^anna +river +2 +0 +/m);
  expect(JSON.stringify(shown) + JSON.stringify(before)).not.toContain("4711");
});

test("a limit of requests at once holds for those that wait, and only for its key", async () => {
  assistant = await installFakes({
    models: { river: { slots: 1 } },
    config: section("anna", "max_in_flight = 2") + section("ben"),
  });
  const url = await assistant.serve();
  const leaving = new AbortController();
  const headers = authorization("anna");
  const held = await open(url, "river", `hold ${fake({ tokens: 100_000, decodeDelayMs: 10 })}`, {
    stream: true,
    signal: leaving.signal,
    headers,
  });
  void held.text().catch(() => {});
  const waiting = ask(url, "river", "the second waits", { headers });
  await eventually("it waits", async () => (await assistant.state()).queued === 1);
  const refused = await ask(url, "river", "the third", { headers });
  expect([refused.status, JSON.parse(refused.text)]).toEqual([
    429,
    { error: expect.objectContaining({ code: "rate_limit_exceeded", type: "rate_limit_error" }) },
  ]);
  expect(Number(refused.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
  const other = ask(url, "river", "another key's", { headers: authorization("ben") });
  await eventually("the other key's waits too", async () => (await assistant.state()).queued === 2);
  leaving.abort();
  expect([(await waiting).status, (await other).status]).toEqual([200, 200]);
  // A client that left has given its place back, as those have that were answered.
  expect((await ask(url, "river", "now there is room", { headers })).status).toBe(200);
});

test("a limit of requests a minute is raised by a reload, which forgives nothing", async () => {
  const config = (limit: number): string => section("anna", `requests_per_minute = ${limit}`);
  assistant = await installFakes({ models: { river: {} }, config: config(1) });
  const url = await assistant.serve();
  const headers = authorization("anna");
  const statuses = async (count: number): Promise<number[]> => {
    const all: number[] = [];
    for (let index = 0; index < count; index++) all.push((await ask(url, "river", "hello", { headers })).status);
    return all;
  };
  expect(await statuses(2)).toEqual([200, 429]);
  const file = assistant.env["ASSISTANT_CONFIG"] ?? "";
  await writeFile(file, (await readFile(file, "utf8")).replace("requests_per_minute = 1", "requests_per_minute = 3"));
  await assistant.reload();
  expect(await statuses(3)).toEqual([200, 200, 429]);
});
