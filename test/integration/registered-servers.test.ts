import { request } from "node:http";
import { json as jsonOf } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { resolvePaths } from "../../src/config/paths.ts";
import { type FakeProvider, startProvider, WHOLE } from "../fakes/provider.ts";
import { installAssistant, type TestAssistant } from "../support/assistant.ts";

let one: FakeProvider;
let other: FakeProvider;
let assistant: TestAssistant;
let url: string;

beforeAll(async () => {
  [one, other] = await Promise.all([startProvider(), startProvider()]);
  assistant = await installAssistant({ env: { ASSISTANT_GRPC_ADDR: "" } });
  url = await assistant.serve();
});
afterAll(async () => {
  await assistant[Symbol.asyncDispose]();
  await Promise.all([one[Symbol.asyncDispose](), other[Symbol.asyncDispose]()]);
});

interface Listed {
  readonly id: string;
  readonly [field: string]: unknown;
}
type Answer = Listed & Readonly<Record<"chat" | "embeddings" | "tts", readonly Listed[]>>;

/** Over the admin socket. */
function admin(method: string, path: string, body?: object): Promise<{ status: number; body: Answer }> {
  return new Promise((resolve, reject) => {
    const headers = { "content-type": "application/json" };
    const { adminSocket: socketPath } = resolvePaths(assistant.env);
    const asked = request({ socketPath, method, path, headers }, (answer) =>
      jsonOf(answer).then((value) => resolve({ status: answer.statusCode ?? 0, body: value as Answer }), reject),
    );
    asked.on("error", reject).end(body === undefined ? undefined : JSON.stringify(body));
  });
}
const register = (server: object) => admin("POST", "/admin/servers/register", server);
const ask = (path: string, body: object): Promise<Response> =>
  fetch(`${url}${path}`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
const chat = { model: "large", messages: [{ role: "user", content: "Name a river." }] };

test("servers that register serve their models by their own names, together, until they leave", async () => {
  const { status, body: first } = await register({ url: one.url, kind: "chat", api_key: "sk-secret" });
  expect(status).toBe(200);
  expect(first).toEqual({ id: expect.stringMatching(/^chat-server-[0-9a-f-]{36}$/), url: one.url, kind: "chat" });
  const address = one.url.replace("http://", "");
  for (const login of ["me@", ":secret@", "me:secret@"]) {
    const refused = await register({ url: `http://${login}${address}`, kind: "chat" });
    expect([login, refused.status, refused.body["error"]]).toMatchObject([login, 400, { param: "url" }]);
  }
  expect(await (await ask("/v1/chat/completions", chat)).json()).toEqual(WHOLE);
  expect(one.to("/chat/completions")[0]?.headers.authorization).toBe("Bearer sk-secret");
  const tokens = await ask("/tokenize", { model: "large", content: "Rhine" });
  expect([tokens.status, await tokens.json()]).toMatchObject([400, { error: { param: "model" } }]);

  const { body: second } = await register({ url: other.url, kind: "chat,embeddings" });
  expect(second.id).toMatch(/^chat-embeddings-server-/);
  const { body: list } = await admin("GET", "/admin/servers");
  expect(list.chat).toMatchObject([
    { id: first.id, health_status: { is_healthy: true }, models: ["large", "embed-small"] },
    { id: second.id, url: other.url, kind: "chat,embeddings" },
  ]);
  expect(list.embeddings).toMatchObject([{ id: second.id }]);
  expect(list.tts).toEqual([]);
  expect(JSON.stringify(list)).not.toContain("sk-secret");

  // While one holds a request, the other gets the next.
  one.script("/chat/completions", { ending: "hang" });
  const left = new AbortController();
  const held = fetch(`${url}/v1/chat/completions`, {
    ...{ method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(chat) },
    signal: left.signal,
  }).catch(() => null);
  while (one.to("/chat/completions").length + other.to("/chat/completions").length < 2)
    await new Promise((resolve) => setImmediate(resolve));
  await ask("/v1/chat/completions", chat);
  expect(other.to("/chat/completions").length).toBeGreaterThan(0);
  left.abort();
  await held;

  expect(await admin("POST", "/admin/servers/unregister", { server_id: first.id })).toEqual({
    status: 200,
    body: { message: "Server unregistered successfully.", id: first.id },
  });
  expect((await ask("/v1/chat/completions", chat)).headers.get("x-assistant-instance")).toBe(`remote:${second.id}`);
  await admin("POST", "/admin/servers/unregister", { server_id: second.id });
  expect((await ask("/v1/chat/completions", chat)).status).toBe(404);
});

test.each([
  ["url", 400, { url: "not a url", kind: "chat" }],
  ["kind", 400, { url: "http://127.0.0.1:1", kind: "chat,cooking" }],
  ["kind", 400, { url: "http://127.0.0.1:1" }],
  ["name", 400, { url: "http://127.0.0.1:1", kind: "chat", name: "x" }],
  [null, 503, { url: "http://127.0.0.1:1", kind: "chat" }],
])("what cannot be registered is refused, and named: %s", async (param, status, body) => {
  expect(await register(body)).toMatchObject({ status, body: { error: { param } } });
  expect((await admin("GET", "/admin/servers")).body.chat).toEqual([]);
});

test("a server registers once for each kind", async () => {
  const { body } = await register({ url: one.url, kind: "chat" });
  expect(await register({ url: one.url, kind: "tts,chat" })).toMatchObject({ status: 409 });
  expect(await admin("POST", "/admin/servers/unregister", { server_id: body.id })).toMatchObject({ status: 200 });
  expect(await admin("POST", "/admin/servers/unregister", { server_id: body.id })).toMatchObject({ status: 404 });
});

test("the network cannot register servers without an admin's key, and echo needs none", async () => {
  expect((await ask("/admin/servers/register", { url: one.url, kind: "chat" })).status).toBe(404);
  expect(await (await fetch(`${url}/echo`)).text()).toBe("echo test");
});
