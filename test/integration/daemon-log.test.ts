import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { ask, type FakeInstallation, installFakes } from "../support/fake-installation.ts";

let assistant: FakeInstallation;
afterEach(() => assistant[Symbol.asyncDispose]());

const KEY = "sk-a-key-that-nobody-may-read-7319";
const PROMPT = "a-secret-plan-4417";

async function everythingWritten(folder: string): Promise<string> {
  const names = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return (await Promise.all(files.map((file) => readFile(file, "utf8")))).join("\n");
}

test("neither keys nor prompts nor answers get into any file, at the most talkative level", async () => {
  assistant = await installFakes({
    models: { river: {} },
    env: { ASSISTANT_API_KEY: KEY, ASSISTANT_LOG_LEVEL: "debug" },
  });
  const url = await assistant.serve();
  const authorization = `Bearer ${KEY}`;
  expect((await ask(url, "river", PROMPT, { headers: { authorization } })).text).toContain("word7");
  expect((await ask(url, "river", PROMPT, { headers: { authorization }, stream: true })).status).toBe(200);
  // What goes wrong is told in more words.
  expect((await ask(url, "rivr", PROMPT, { headers: { authorization } })).status).toBe(404);
  expect((await ask(url, "river", PROMPT, { headers: { authorization: `Bearer ${KEY}x` } })).status).toBe(401);
  expect((await ask(url, "river", PROMPT, { headers: { authorization }, more: { max_tokens: PROMPT } })).status).toBe(
    400,
  );
  await assistant.turn("river", { failStatus: 500 });
  expect((await ask(url, "river", PROMPT, { headers: { authorization } })).status).toBeGreaterThanOrEqual(500);
  const { dataDir } = await assistant.state();
  await assistant.stop();
  const written = await everythingWritten(join(dataDir, "log"));
  expect(written).toContain('"msg":"request"');
  for (const secret of [KEY, PROMPT, "word7"]) expect(written).not.toContain(secret);
});

test("every request has one line that tells what became of it", async () => {
  assistant = await installFakes({ models: { river: {} } });
  const url = await assistant.serve();
  const answer = await ask(url, "river", "hello there", { headers: { "x-request-id": "mine-1" } });
  expect(answer.headers.get("x-request-id")).toBe("mine-1");
  const line = await eventually("the line is written", async () =>
    (await assistant.daemonLog()).split("\n").find((text) => text.includes("mine-1")),
  );
  expect(JSON.parse(line)).toMatchObject({
    id: expect.stringMatching(/^req_[0-9a-f]{24}$/),
    clientId: "mine-1",
    model: "river",
    instance: "river@cpu",
    status: 200,
    end: "complete",
    promptTokens: 3,
    completionTokens: 8,
    queueMs: expect.any(Number),
    ttftMs: expect.any(Number),
    totalMs: expect.any(Number),
  });
  expect((await assistant.daemonLog()).split("mine-1")).toHaveLength(2);
});

test("status counts the requests that were served", async () => {
  assistant = await installFakes({ models: { river: {}, brook: {} } });
  const url = await assistant.serve();
  for (const name of ["river", "brook", "river"]) await ask(url, name, "hello");
  await eventually("three", async () => (await assistant.state()).requestsServed === 3);
  const served = Object.fromEntries(
    (await assistant.state()).instances.map((instance) => [instance.model, instance.requestsServed]),
  );
  expect(served).toEqual({ river: 2, brook: 1 });
});
