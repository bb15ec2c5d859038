import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { ErrorBody } from "../../src/api/status.ts";
import { AssistantError } from "../../src/core/errors.ts";
import { chatBody, type TestGateway, testGateway } from "../support/gateway.ts";
import { postBytes, rawClient } from "../support/raw-http.ts";
import { jsonAnswer } from "../support/scripted-upstream.ts";

let running: TestGateway;
beforeAll(async () => {
  running = await testGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
});
beforeEach(() => {
  running.dispatcher.refuse = null;
});
afterAll(() => running[Symbol.asyncDispose]());

interface Refused {
  readonly status: number;
  readonly headers: Headers;
  readonly error: ErrorBody["error"];
}

async function send(
  method: string,
  path: string,
  body: string | null,
  type: string | null = "application/json",
): Promise<Refused> {
  const headers: Record<string, string> = type === null ? {} : { "content-type": type };
  const answer = await fetch(running.url + path, {
    method,
    headers,
    ...(body === null ? {} : { body: Buffer.from(body) }),
  });
  const text = await answer.text();
  return {
    status: answer.status,
    headers: answer.headers,
    error: text === "" ? ({} as ErrorBody["error"]) : (JSON.parse(text) as ErrorBody).error,
  };
}

const chat = "/v1/chat/completions";
const good = chatBody();
const message = { role: "user", content: "x" };

const table: readonly (readonly [
  name: string,
  path: string,
  body: unknown,
  status: number,
  code: string,
  param: string | null,
  says: string,
])[] = [
  ["no body", chat, "", 400, "empty_body", null, "no body"],
  ["text", chat, "hello", 400, "invalid_json", null, "position 0"],
  ["JSON that ends too early", chat, '{"model": "river"', 400, "invalid_json", null, "ends too early"],
  [
    "JSON with a mistake in the second line",
    chat,
    '{"model": "river",\n "messages": [}',
    400,
    "invalid_json",
    null,
    "line 2, column 15",
  ],
  ["an array", chat, "[]", 400, "invalid_request", null, "an array"],
  ["null", chat, "null", 400, "invalid_request", null, "null"],
  ["no messages", chat, { model: "river" }, 400, "invalid_request", "messages", '"messages" is missing'],
  ["messages as text", chat, { messages: "hi" }, 400, "invalid_request", "messages", "an array of messages"],
  ["no message at all", chat, { messages: [] }, 400, "invalid_request", "messages", "at least one"],
  ["a message as text", chat, { messages: ["hi"] }, 400, "invalid_request", "messages[0]", "must be an object"],
  [
    "a message without role",
    chat,
    { messages: [message, { content: "x" }] },
    400,
    "invalid_request",
    "messages[1].role",
    "found nothing",
  ],
  [
    "content as a number",
    chat,
    { messages: [{ role: "user", content: 3 }] },
    400,
    "invalid_request",
    "messages[0].content",
    "the number 3",
  ],
  ["model as a number", chat, { ...good, model: 3 }, 400, "invalid_request", "model", "a string"],
  ["stream as text", chat, { ...good, stream: "yes" }, 400, "invalid_request", "stream", "true or false"],
  [
    "stream_options as a list",
    chat,
    { ...good, stream_options: [] },
    400,
    "invalid_request",
    "stream_options",
    "an object",
  ],
  [
    "a temperature out of range",
    chat,
    { ...good, temperature: -0.1 },
    400,
    "invalid_request",
    "temperature",
    "from 0 to 2",
  ],
  ["a temperature as text", chat, { ...good, temperature: "hot" }, 400, "invalid_request", "temperature", '"hot"'],
  ["top_p out of range", chat, { ...good, top_p: 1.5 }, 400, "invalid_request", "top_p", "from 0 to 1"],
  ["max_tokens as a fraction", chat, { ...good, max_tokens: 1.5 }, 400, "invalid_request", "max_tokens", "an integer"],
  ["n of zero", chat, { ...good, n: 0 }, 400, "invalid_request", "n", "from 1"],
  ["stop as a number", chat, { ...good, stop: 1 }, 400, "invalid_request", "stop", "array of strings"],
  ["tools as an object", chat, { ...good, tools: {} }, 400, "invalid_request", "tools", "an array"],
  ["an unknown model", chat, { ...good, model: "rivr" }, 404, "model_not_found", "model", 'Did you mean "river"?'],
  ["an embedding model", chat, { ...good, model: "vectors" }, 400, "wrong_model_kind", "model", 'use "river"'],
  ["no prompt", "/v1/completions", { model: "river" }, 400, "invalid_request", "prompt", '"prompt" is missing'],
  [
    "a prompt of objects",
    "/v1/completions",
    { model: "river", prompt: [{}] },
    400,
    "invalid_request",
    "prompt",
    "array of strings",
  ],
  ["no input", "/v1/embeddings", { model: "vectors" }, 400, "invalid_request", "input", '"input" is missing'],
  ["empty input", "/v1/embeddings", { model: "vectors", input: [] }, 400, "invalid_request", "input", "an empty array"],
  [
    "an encoding that does not exist",
    "/v1/embeddings",
    { model: "vectors", input: "x", encoding_format: "hex" },
    400,
    "invalid_request",
    "encoding_format",
    "base64",
  ],
  ["a chat model", "/v1/embeddings", { model: "river", input: "x" }, 400, "wrong_model_kind", "model", 'use "vectors"'],
];

describe("a body that cannot be served", () => {
  test.each(table)("%s", async (_, path, body, status, code, param, says) => {
    const refused = await send("POST", path, typeof body === "string" ? body : JSON.stringify(body));
    expect([refused.status, refused.error.code, refused.error.param]).toEqual([status, code, param]);
    expect(refused.error.message).toContain(says);
    expect(refused.error.request_id).toBe(refused.headers.get("x-request-id"));
    expect(running.dispatcher.granted).toHaveLength(0);
  });
});

test.each([null, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])(
  "the content type %s is refused",
  async (type) => {
    const refused = await send("POST", chat, JSON.stringify(good), type);
    expect([refused.status, refused.error.code]).toEqual([415, "unsupported_media_type"]);
  },
);

test.each(["application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.api+json"])(
  "the content type %s is taken",
  async (type) => {
    const answer = await fetch(running.url + chat, {
      method: "POST",
      headers: { "content-type": type },
      body: JSON.stringify(good),
    });
    expect(answer.status).toBe(200);
    running.dispatcher.granted.length = 0;
  },
);

test("a body over the limit is a 413, told to a client that goes on sending", async () => {
  const client = await rawClient(running.port);
  client.send(postBytes(chat, { ...good, user: "x".repeat(3 * 1024 * 1024) }));
  const answer = await client.until("body_too_large");
  expect(answer).toMatch(/^HTTP\/1\.1 413 /);
  client.socket.destroy();
});

test.each([
  "/nothing",
  "/v1/nothing",
  "/v3/chat/completions",
  "/v1/chat/completions/x",
  "/admin/status",
  "/admin/shutdown",
])("%s is no route of the network listener", async (path) => {
  const refused = await send("GET", path, null);
  expect([refused.status, refused.error.code]).toEqual([404, "route_not_found"]);
});

test.each([
  ["GET", `/v1/files/${"x".repeat(9000)}`, 404],
  ["GET", `/v1/requests/${"x".repeat(9000)}`, 404],
  ["GET", "/v1/models/%ff", 400],
])("an odd id is refused in the shape of its door: %s", async (method, path, status) => {
  const refused = await send(method, path, null);
  expect([refused.status, typeof refused.error.message]).toEqual([status, "string"]);
});

test("a broken escape is refused in the shape of the door that was meant", async () => {
  const answer = await fetch(`${running.url}/v2/models/%ff`);
  expect([answer.status, await answer.json()]).toEqual([400, { error: expect.stringContaining("percent escape") }]);
});

test("a name of a million characters is refused at once, and no other request waits for it", async () => {
  const refused = await send("POST", chat, JSON.stringify({ ...good, model: "z".repeat(1_000_000) }));
  expect([refused.status, refused.error.code]).toEqual([404, "model_not_found"]);
  expect(refused.error.message.length).toBeLessThan(1000);
});

test.each([
  ["GET", chat, "POST, OPTIONS"],
  ["PUT", "/v1/embeddings", "POST, OPTIONS"],
  ["DELETE", "/chat/completions", "POST, OPTIONS"],
  ["POST", "/v1/models", "GET, HEAD, OPTIONS"],
  ["DELETE", "/v1/models/river", "GET, HEAD, OPTIONS"],
])("%s %s is a 405 that says what is allowed", async (method, path, allow) => {
  const refused = await send(method, path, null);
  expect([refused.status, refused.error.code, refused.headers.get("allow")]).toEqual([
    405,
    "method_not_allowed",
    allow,
  ]);
});

test("HEAD of an inference route is a 405 without a body", async () => {
  const answer = await fetch(running.url + chat, { method: "HEAD" });
  expect([answer.status, answer.headers.get("allow"), await answer.text()]).toEqual([405, "POST, OPTIONS", ""]);
});

test.each([
  [new AssistantError("queue_full", "Full.", { retryAfterS: 3.2 }), 429, "4"],
  [new AssistantError("no_capacity", "No room."), 503, "1"],
  [new AssistantError("shutting_down", "Stopping."), 503, "1"],
  [new AssistantError("model_invalid", "No GGUF."), 422, null],
])("a refusal of the scheduler (%s) tells whether to come back", async (refusal, status, retryAfter) => {
  running.dispatcher.refuse = refusal;
  const refused = await send("POST", chat, JSON.stringify(good));
  expect([refused.status, refused.error.code, refused.headers.get("retry-after")]).toEqual([
    status,
    refusal.code,
    retryAfter,
  ]);
});

test("a fault inside the daemon tells its text to the log and not to the client", async () => {
  running.dispatcher.refuse = new TypeError("secret path /home/somebody");
  const refused = await send("POST", chat, JSON.stringify(good));
  expect([refused.status, refused.error.code]).toEqual([500, "internal"]);
  expect(refused.error.message).not.toContain("secret");
  expect(
    running.lines.some(
      (line) =>
        String((line["err"] as Error | undefined)?.message).includes("secret path") &&
        line["id"] === refused.error.request_id,
    ),
  ).toBe(true);
});

test.each([
  ["x-assistant-priority", "101"],
  ["x-assistant-timeout-ms", "soon"],
  ["x-request-timeout", "-1"],
  ["x-request-timeout", "1e3"],
])("the header %s: %s is refused", async (name, value) => {
  const answer = await fetch(running.url + chat, {
    method: "POST",
    headers: { "content-type": "application/json", [name]: value },
    body: JSON.stringify(good),
  });
  expect(answer.status).toBe(400);
  expect(((await answer.json()) as ErrorBody).error.param).toBe(name);
});

test("bytes that are no HTTP end the connection without harm", async () => {
  const client = await rawClient(running.port);
  client.send("\x16\x03\x01 hello\r\n\r\n");
  expect(await client.untilClosed()).toMatch(/^HTTP\/1\.1 400 /);
  expect((await fetch(`${running.url}/health`)).status).toBe(200);
});
