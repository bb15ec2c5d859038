import { expect, test } from "vitest";
import { AssistantError } from "../../src/core/errors.ts";
import { eventually } from "../support/assistant.ts";
import { testModel } from "../support/fake-engine.ts";
import { chatBody, startGateway, type TestGateway } from "../support/gateway.ts";
import { bodyOf, postBytes, rawClient } from "../support/raw-http.ts";
import { chatEvents, chunk, jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

const framed = chatEvents(["The", " Rhine"]).map(chunk).join("") + LAST_CHUNK;
const start = async (answer = sseHead + framed): Promise<TestGateway> => {
  const gateway = await startGateway((socket) => socket.end(answer), { signalTimes: { firstMs: 20, everyMs: 20 } });
  gateway.dispatcher.hold();
  return gateway;
};

const path = "/v1/chat/completions";
const loading = ": waiting for the model to load";

test("a stream that waits for its model shows signs of life, then the answer", async () => {
  const { port, dispatcher } = await start();
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  await eventually("two signs", () => client.received().toString().split(loading).length > 2);
  dispatcher.release();
  const answer = await client.until("[DONE]\n\n\r\n0\r\n\r\n");
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n[\s\S]*content-type: text\/event-stream/i);
  expect(bodyOf(answer).endsWith(framed)).toBe(true);
  expect(bodyOf(answer).slice(0, -framed.length)).toMatch(
    /^(?:[0-9a-f]+\r\n: waiting for the model to load\n\n\r\n){2,}$/,
  );
});

test("the sign tells the place in the queue and the expected start", async () => {
  const { port, dispatcher } = await start();
  dispatcher.waiting = { reason: "queued", place: 3, expectedStartMs: 4_200 };
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  const head = await client.until(": waiting in the queue, place 3, about 5 s to go\n\n");
  expect(head).toMatch(/^x-assistant-queue-place: 3\r$/im);
  expect(head).toMatch(/^x-assistant-expected-start-ms: 4200\r$/im);
});

test("a model whose name no header can hold waits and answers like any other", async () => {
  const { port, dispatcher } = await startGateway((socket) => socket.end(sseHead + framed), {
    signalTimes: { firstMs: 20, everyMs: 20 },
    models: [testModel({ name: "река 川" })],
  });
  dispatcher.hold();
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ model: "река 川", stream: true })));
  const head = await client.until(loading);
  expect(head).toMatch(/x-assistant-model: %D1%80%D0%B5%D0%BA%D0%B0%20%E5%B7%9D\r\n/i);
  dispatcher.release();
  await client.until("[DONE]");
  const whole = await rawClient(port);
  whole.send(postBytes(path, chatBody({ model: "река 川", top_p: 5 })));
  expect(await whole.until("top_p")).toMatch(/^HTTP\/1\.1 400 /);
});

test("an answer in one piece that had to wait tells how its wait began, one that had not tells nothing", async () => {
  const { url, dispatcher } = await start(jsonAnswer('{"n":1}'));
  dispatcher.waiting = { reason: "queued", place: 2, expectedStartMs: null };
  const ask = (): Promise<Response> =>
    fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(chatBody()),
    });
  const waited = ask();
  await eventually("it waits", () => dispatcher.asked.length === 1);
  dispatcher.release();
  expect((await waited).headers.get("x-assistant-queue-place")).toBe("2");
  expect((await waited).headers.get("x-assistant-expected-start-ms")).toBeNull();
  expect((await ask()).headers.get("x-assistant-queue-place")).toBeNull();
});

test("a failure after a sign is an event of the stream", async () => {
  const { port, dispatcher } = await start();
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  await client.until(loading);
  dispatcher.refuse = new AssistantError("model_failed", "The model cannot be loaded: out of memory.");
  dispatcher.release();
  const body = bodyOf(await client.untilClosed());
  expect(body).toMatch(
    /data: \{"error":\{"message":"The model cannot be loaded: out of memory\.","type":"server_error","param":null,"code":"model_failed"/,
  );
  expect(body.endsWith(`\n\n\r\n${LAST_CHUNK}`)).toBe(true);
});

test("an engine's refusal after a sign is an event of the stream", async () => {
  const { port, dispatcher } = await start(
    jsonAnswer('{"error":{"code":400,"message":"bad grammar","type":"invalid_request_error"}}', "400 Bad Request"),
  );
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  await client.until(loading);
  dispatcher.release();
  expect(bodyOf(await client.untilClosed())).toContain(
    'data: {"error":{"message":"bad grammar.","type":"invalid_request_error"',
  );
});

test("an HTTP/1.0 client gets the signs without chunks", async () => {
  const { port, dispatcher } = await start();
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true }), { version: "1.0" }));
  await client.until(loading);
  dispatcher.release();
  expect(bodyOf(await client.untilClosed())).toMatch(
    /^(?:: waiting for the model to load\n\n)+data: \{[\s\S]*\ndata: \[DONE\]\n\n$/,
  );
});

test("an answer in one piece keeps its status: it waits in silence", async () => {
  const { port, dispatcher } = await start();
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody()));
  await eventually("it waits", () => dispatcher.asked.length === 1);
  // Another request's signs prove that the time for one has passed.
  const other = await rawClient(port);
  other.send(postBytes(path, chatBody({ stream: true })));
  await eventually("two signs", () => other.received().toString().split(loading).length > 2);
  expect(client.received()).toHaveLength(0);
  dispatcher.refuse = new AssistantError("no_capacity", "No room.");
  dispatcher.release();
  expect(await client.until("no_capacity")).toMatch(/^HTTP\/1\.1 503 /);
});

test("a client that leaves between signs leaves the queue", async () => {
  const { port, dispatcher } = await start();
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  await client.until(loading);
  client.socket.end();
  await eventually("it left the queue", () => dispatcher.abandoned.length === 1);
  expect(dispatcher.granted).toHaveLength(0);
});
