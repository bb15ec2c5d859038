import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { AssistantError } from "../../src/core/errors.ts";
import { type TestGateway, testGateway } from "../support/gateway.ts";
import { chunk, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

const delta = (content: string) => ({ id: "chatcmpl-1", choices: [{ index: 0, delta: { content } }] });
const failed = { error: { code: 500, message: "out of memory", type: "server_error" } };

let running: TestGateway;
beforeAll(async () => {
  running = await testGateway((socket) =>
    socket.end(
      sseHead +
        [delta("Hel"), failed].map((event) => chunk(`data: ${JSON.stringify(event)}\n\n`)).join("") +
        LAST_CHUNK,
    ),
  );
});
beforeEach(() => {
  running.settings.apiKeys = [];
  running.dispatcher.refuse = null;
});
afterAll(() => running[Symbol.asyncDispose]());

const body = { model: "river", max_tokens: 9, messages: [{ role: "user", content: "Hi" }] };
const send = (path: string, fields: object | null, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(running.url + path, {
    method: fields === null ? "GET" : "POST",
    headers: { "content-type": "application/json", ...headers },
    ...(fields === null ? {} : { body: JSON.stringify(fields) }),
  });

test("an engine that fails within its answer ends the stream with an error event", async () => {
  const text = await (await send("/v1/messages", { ...body, stream: true })).text();
  const events = text.split("\n\n").map((event) => event.split("\n")[0]);
  expect(events.slice(0, 4)).toEqual([
    ...["event: message_start", "event: content_block_start", "event: ping", "event: content_block_delta"],
  ]);
  expect(events.at(-2)).toBe("event: error");
  const error = JSON.parse(text.slice(text.lastIndexOf("data: ") + 6)) as object;
  expect(error).toMatchObject({ type: "error", error: { type: "api_error", code: "engine_error" } });
  expect(text).not.toContain("message_stop");
});

test.each([
  ["a path below the door's", "/v1/messages/batches", body, 404, "not_found_error"],
  ["a method that is not taken", "/v1/messages", null, 405, "invalid_request_error"],
  ["a body without a limit", "/v1/messages", { ...body, max_tokens: undefined }, 400, "invalid_request_error"],
  ["an unknown model", "/v1/messages", { ...body, model: "rivr" }, 404, "not_found_error"],
  ["a model of another kind", "/v1/messages/count_tokens", { ...body, model: "vectors" }, 400, "invalid_request_error"],
])("%s is refused in Anthropic's shape, with the request's id", async (_, path, fields, status, type) => {
  const answer = await send(path, fields);
  expect(answer.status).toBe(status);
  const id = answer.headers.get("request-id");
  expect(id).toBe(answer.headers.get("x-request-id"));
  expect(await answer.json()).toMatchObject({ type: "error", error: { type }, request_id: id });
});

test("a full queue is a rate limit with a time to come back", async () => {
  running.dispatcher.refuse = new AssistantError("queue_full", "Full.", { retryAfterS: 3 });
  const answer = await send("/v1/messages", body);
  expect([answer.status, answer.headers.get("retry-after")]).toEqual([429, "3"]);
  expect(await answer.json()).toMatchObject({ error: { type: "rate_limit_error" } });
});

test("keys are read from both headers, on the lists of models too", async () => {
  const sha256 = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae";
  running.settings.apiKeys = [{ name: "anna", sha256 }];
  const version = { "anthropic-version": "2023-06-01" };
  const refused = await send("/v1/models", null, version);
  expect(refused.status).toBe(401);
  expect(await refused.json()).toMatchObject({ type: "error", error: { type: "authentication_error" } });
  for (const key of [{ "x-api-key": "foo" }, { authorization: "Bearer foo" }]) {
    const listed = await send("/v1/models", null, { ...version, ...key });
    expect(await listed.json()).toMatchObject({ data: [{ type: "model", id: "river" }], has_more: false });
  }
});

test("a list of models is OpenAI's for those who name no version", async () => {
  expect(await (await send("/v1/models", null)).json()).toMatchObject({ object: "list" });
});
