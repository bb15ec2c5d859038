import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { AssistantError } from "../../src/core/errors.ts";
import { eventually } from "../support/assistant.ts";
import { chatBody, startGateway } from "../support/gateway.ts";
import { bodyOf, postBytes, rawClient } from "../support/raw-http.ts";
import { chatEvents, chunk, jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

const path = "/v1/chat/completions";
const events = chatEvents(["The", " Rhine"]);
const begun = events.slice(0, 3).map(chunk).join("");

interface ErrorAnswer {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly type: string;
    readonly request_id: string;
  };
}

async function post(url: string, body: object): Promise<{ status: number; headers: Headers; json: ErrorAnswer }> {
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  return { status: answer.status, headers: answer.headers, json: (await answer.json()) as ErrorAnswer };
}

test("an engine that dies between two events ends the stream with an error event", async () => {
  const { port, dispatcher } = await startGateway(
    (socket) => void socket.write(sseHead + begun, () => socket.destroy()),
  );
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  const body = bodyOf(await client.untilClosed());
  expect(body.startsWith(begun)).toBe(true);
  const rest = body.slice(begun.length);
  const event = /^[0-9a-f]+\r\ndata: (\{.*\})\n\n\r\n0\r\n\r\n$/.exec(rest)?.[1];
  expect((JSON.parse(event ?? "{}") as ErrorAnswer).error.code).toBe("engine_lost");
  expect(dispatcher.granted[0]?.outcome?.end).toBe("engine-error");
});

test("an engine that dies within a chunk leaves the stream visibly broken", async () => {
  const half = chunk(events[3] ?? "").slice(0, 40);
  const { port } = await startGateway((socket) => void socket.write(sseHead + begun + half, () => socket.destroy()));
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  const body = bodyOf(await client.untilClosed());
  expect(body).toBe(begun + half);
  expect(body).not.toContain(LAST_CHUNK);
});

test("an engine that dies between two events of one chunk leaves the stream visibly broken", async () => {
  // Both events are announced as one chunk, of which only the first arrives.
  const both = chunk(`${events[2]}${events[3]}`);
  const cut = both.slice(0, both.indexOf("\n\n") + 2);
  const { port } = await startGateway((socket) => void socket.write(sseHead + cut, () => socket.destroy()));
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  expect(bodyOf(await client.untilClosed())).toBe(cut);
});

test.each([false, true])(
  "an engine that dies before its answer costs nothing but time: another one gets the request, streamed: %s",
  async (stream) => {
    let died = 0;
    const { url, dispatcher } = await startGateway((socket) => {
      if (died++ === 0) socket.destroy();
      else socket.end(stream ? sseHead + events.map(chunk).join("") + LAST_CHUNK : jsonAnswer('{"n":1}'));
    });
    const answer = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(chatBody({ stream })),
    });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toBe(stream ? events.join("") : '{"n":1}');
    expect(dispatcher.granted.map(({ outcome }) => outcome?.end)).toEqual(["engine-error", "complete"]);
  },
);

test("a request at which two engines die is a 502, and no third one gets it", async () => {
  const { url, dispatcher } = await startGateway((socket) => socket.destroy());
  const { status, json } = await post(url, chatBody());
  expect([status, json.error.code, json.error.type]).toEqual([502, "engine_lost", "server_error"]);
  expect(dispatcher.granted).toHaveLength(2);
});

test("a request whose instance is stopped on purpose is not tried again", async () => {
  const { url, dispatcher } = await startGateway(() => {});
  const asked = post(url, chatBody());
  await eventually("it is at the engine", () => dispatcher.granted.length === 1);
  dispatcher.granted[0]?.lose(new AssistantError("engine_stopped", "Instance river@cpu was stopped."));
  const { status, json } = await asked;
  expect([status, json.error.code]).toEqual([503, "engine_stopped"]);
  expect(dispatcher.granted).toHaveLength(1);
});

test("an engine that dies after the head of a stream is a 502 as well", async () => {
  const { url } = await startGateway((socket) => void socket.write(sseHead, () => socket.destroy()));
  const { status, json } = await post(url, chatBody({ stream: true }));
  expect([status, json.error.code]).toEqual([502, "engine_lost"]);
});

test("half an answer in one piece breaks the connection", async () => {
  const { port } = await startGateway(
    (socket) =>
      void socket.write(
        'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 400\r\n\r\n{"choices":[',
        () => socket.destroy(),
      ),
  );
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody()));
  const answer = await client.untilClosed();
  expect(bodyOf(answer)).toBe('{"choices":[');
  expect(answer).toMatch(/content-length: 400/i);
});

describe("answers that are none", () => {
  test.each([
    ["incomplete JSON", jsonAnswer('{"choices":[{"index":0,')],
    ["no HTTP", "SSH-2.0-OpenSSH_9.2\r\n\r\n"],
    ["HTML", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>"],
    [
      "a content type with a control character",
      "HTTP/1.1 200 OK\r\nContent-Type: application/json\x01\r\nContent-Length: 2\r\n\r\n{}",
    ],
    ["an absurd length", "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: x\r\n\r\n{}"],
    ["a server error without JSON", "HTTP/1.1 500 Oops\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\noops"],
    ["an unexpected status", "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"],
  ])("%s is an engine_error", async (_, bytes) => {
    const { url } = await startGateway((socket) => socket.end(bytes));
    const { status, json } = await post(url, chatBody());
    expect([status, json.error.code]).toEqual([502, "engine_error"]);
    expect(json.error.request_id).toMatch(/^req_/);
  });
});

test.each([503, 200])(
  "an empty answer with status %i is an error at once, although the engine keeps the connection open",
  async (engineStatus) => {
    const head = `HTTP/1.1 ${engineStatus} Any\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n`;
    const { url, upstream } = await startGateway((socket) => void socket.write(head));
    const { status, json } = await post(url, chatBody());
    expect([status, json.error.code]).toEqual([502, "engine_error"]);
    expect(upstream.requests.length).toBe(1);
  },
);

test("the engine's refusal of a long prompt is context_length_exceeded, with the numbers", async () => {
  const refusal =
    '{"error":{"code":400,"message":"request (4001 tokens) exceeds the available context size (512 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":4001,"n_ctx":512}}';
  const { url, dispatcher } = await startGateway((socket) => socket.end(jsonAnswer(refusal, "400 Bad Request")));
  const { status, json } = await post(url, chatBody({ stream: true }));
  expect([status, json.error.code]).toEqual([400, "context_length_exceeded"]);
  expect(json.error.message).toContain("4001");
  expect(json.error.message).toContain("512");
  expect(dispatcher.granted[0]?.outcome?.end).toBe("client-error");
});

test("an engine's refusal in chunks is understood too", async () => {
  const refusal = chunk(
    '{"error":{"code":400,"message":"[json.exception.type_error.302] type must be number","type":"invalid_request_error"}}',
  );
  const { url } = await startGateway(
    (socket) =>
      void socket.write(
        `HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n${refusal}${LAST_CHUNK}`,
      ),
  );
  const { status, json } = await post(url, chatBody());
  expect([status, json.error.code, json.error.message]).toEqual([400, "invalid_request", "type must be number."]);
});

test("a request whose engine cannot be reached goes to another one, once", async () => {
  const { url, dispatcher, upstream, directory } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
  dispatcher.socketPaths = [join(directory, "gone.sock"), upstream.socketPath];
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(chatBody()),
  });
  expect(await answer.json()).toEqual({ n: 1 });
  expect(dispatcher.granted.map((granted) => granted.outcome?.end)).toEqual(["engine-error", "complete"]);
});

test("two engines that cannot be reached are a 502", async () => {
  const { url, dispatcher, directory } = await startGateway(() => {});
  dispatcher.socketPaths = [join(directory, "gone.sock")];
  const { status, json } = await post(url, chatBody());
  expect([status, json.error.code]).toEqual([502, "engine_lost"]);
  expect(dispatcher.granted).toHaveLength(2);
  expect(dispatcher.granted.every((granted) => granted.disposed)).toBe(true);
});

test("an instance that is taken away under a stream ends it with the reason", async () => {
  const { port, dispatcher, upstream } = await startGateway((socket) => void socket.write(sseHead + begun));
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  await client.until("Rhine");
  dispatcher.granted[0]?.lose(new Error("it was killed by signal SIGKILL"));
  const body = bodyOf(await client.untilClosed());
  expect(body).toContain("killed by signal SIGKILL");
  expect(body.endsWith(LAST_CHUNK)).toBe(true);
  await eventually("the connection to it is closed", () => upstream.closed() === 1);
});

test("an instance that is taken away before the request was sent is replaced", async () => {
  const { url, dispatcher } = await startGateway((socket) => socket.end(jsonAnswer('{"n":1}')));
  const acquire = dispatcher.acquire.bind(dispatcher);
  let first = true;
  dispatcher.acquire = async (...args) => {
    const lease = await acquire(...args);
    if (first) dispatcher.granted[0]?.lose(new Error("evicted"));
    first = false;
    return lease;
  };
  const answer = await fetch(url + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(chatBody()),
  });
  expect(await answer.json()).toEqual({ n: 1 });
  expect(dispatcher.granted).toHaveLength(2);
});
