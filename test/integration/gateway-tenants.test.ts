import { createHash } from "node:crypto";
import { afterEach, expect, test } from "vitest";
import type { Fingerprint } from "../../src/inference/ports.ts";
import { chatBody, type TestGateway, testGateway } from "../support/gateway.ts";
import { jsonAnswer } from "../support/scripted-upstream.ts";

let running: TestGateway;
afterEach(() => running?.[Symbol.asyncDispose]());

const start = async (...names: string[]): Promise<TestGateway> => {
  const fingerprint: Fingerprint = (_prompt, scope) => ({ promptTokens: 8, prefix: [{ hash: scope, tokens: 8 }] });
  running = await testGateway((socket) => socket.end(jsonAnswer("{}")), { fingerprint });
  running.settings.apiKeys = names.map((name) => ({
    name,
    sha256: createHash("sha256").update(`key-of-${name}`).digest("hex"),
  }));
  return running;
};

const body = JSON.stringify(chatBody({}), null, 1);

/** What reaches the engine of a request that somebody sends. */
async function sentFor(
  name: string,
  headers: Record<string, string> = {},
): Promise<{ scope: string | null; body: string }> {
  const before = running.upstream.requests.length;
  const answer = await fetch(`${running.url}/v1/chat/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer key-of-${name}`, ...headers },
    body,
  });
  await answer.text();
  const request = running.upstream.requests[before];
  if (request === undefined) throw new Error("nothing reached the engine");
  return { scope: /^x-cache-scope: (.*)$/im.exec(request.head)?.[1]?.trim() ?? null, body: request.body };
}

test("each key's requests have a cache scope of their own, which does not tell the key's name, and their bytes stay as they are", async () => {
  await start("ada", "bob");
  const [ada, bob, again] = [await sentFor("ada"), await sentFor("bob"), await sentFor("ada")];
  expect(ada.scope).toMatch(/^[0-9a-f]{32}$/);
  expect(bob.scope).toMatch(/^[0-9a-f]{32}$/);
  expect(bob.scope).not.toBe(ada.scope);
  expect(again).toEqual(ada);
  expect(ada.body).toBe(body);
});

test("prefixes of different scopes are different to the scheduler", async () => {
  const { dispatcher } = await start("ada", "bob");
  for (const name of ["ada", "bob", "ada"]) await sentFor(name);
  const [ada, bob, again] = dispatcher.asked.map(({ prefix }) => JSON.stringify(prefix));
  expect(bob).not.toBe(ada);
  expect(again).toBe(ada);
});

test("without keys there is no scope", async () => {
  await start();
  expect((await sentFor("nobody")).scope).toBeNull();
});

test("where the keys share prefixes there is no scope, and the prefixes are the same", async () => {
  const { settings, dispatcher } = await start("ada", "bob");
  settings.sharePrefixes = true;
  for (const name of ["ada", "bob"]) expect((await sentFor(name)).scope).toBeNull();
  const [ada, bob] = dispatcher.asked.map(({ prefix }) => prefix);
  expect(bob).toEqual(ada);
});

test("a scope that a client names divides its own and leads into nobody else's", async () => {
  await start("ada", "bob");
  const [ada, bob] = [await sentFor("ada"), await sentFor("bob")];
  const scopes = [ada.scope, bob.scope];
  for (const name of ["ada", "bob"])
    for (const part of ["east", "west", bob.scope ?? ""])
      scopes.push((await sentFor(name, { "x-cache-scope": part })).scope);
  expect(new Set(scopes).size).toBe(8);
  expect((await sentFor("ada", { "x-cache-scope": "east" })).scope).toBe(scopes[2]);
});

test("of several tenants' prompts an engine that knows no scopes is to keep nothing; of a single key's it may", async () => {
  const { dispatcher, settings } = await start("ada", "bob");
  dispatcher.separatesCaches = false;
  expect(JSON.parse((await sentFor("ada")).body)).toEqual({ ...chatBody({}), cache_prompt: false });
  settings.apiKeys = settings.apiKeys.slice(0, 1);
  expect((await sentFor("ada")).body).toBe(body);
  // Another machine's daemon, which has one key of ours for all of its tenants.
  expect(JSON.parse((await sentFor("ada", { "x-cache-scope": "eve" })).body)).toMatchObject({ cache_prompt: false });
});
