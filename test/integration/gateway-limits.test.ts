import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { chatBody, type TestGateway, testGateway } from "../support/gateway.ts";
import { postBytes, rawClient } from "../support/raw-http.ts";
import { chunk, jsonAnswer, sseHead } from "../support/scripted-upstream.ts";

const PACE = { headersMs: 300, bodyMs: 300, readMs: 300 };
const MIB = 2 ** 20;

let gateway: TestGateway;
beforeAll(async () => {
  gateway = await testGateway((socket) => socket.end(jsonAnswer('{"n":1}')), { pace: PACE });
});
afterAll(async () => await gateway[Symbol.asyncDispose]());

test("a head that does not end is refused with 408", async () => {
  const client = await rawClient(gateway.port);
  client.send("GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\n");
  expect(await client.untilClosed()).toContain("408");
});

test("a head that is too large is refused with 431", async () => {
  const client = await rawClient(gateway.port);
  client.send(`GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1\r\nx-large: ${"x".repeat(64 * 1024)}\r\n\r\n`);
  expect(await client.untilClosed()).toContain("431");
});

test.each(["/v1/chat/completions", "/api/show"])("a body of %s that stalls is refused with 408", async (path) => {
  const client = await rawClient(gateway.port);
  client.send(
    `POST ${path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
  );
  const answer = await client.until("too slowly");
  expect(answer).toMatch(/^HTTP\/1\.1 408 /);
  client.socket.destroy();
});

test("a body that comes in pieces, each in time, is read", async () => {
  const client = await rawClient(gateway.port);
  const body = JSON.stringify(chatBody());
  client.send(
    "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n",
  );
  for (const part of [body.slice(0, 5), body.slice(5)]) client.send(chunk(part));
  client.send("0\r\n\r\n");
  expect(await client.until('{"n":1}')).toContain("200 OK");
  client.socket.destroy();
});

test("a client that expects 100-continue is told to go on", async () => {
  const client = await rawClient(gateway.port);
  const [head, body] = postBytes("/v1/chat/completions", chatBody(), { headers: { expect: "100-continue" } }).split(
    "\r\n\r\n",
  );
  client.send(`${head}\r\n\r\n`);
  await client.until("HTTP/1.1 100 Continue");
  client.send(body ?? "");
  expect(await client.until('{"n":1}')).toContain("200 OK");
  client.socket.destroy();
});

test("a client that does not read gives its slot back", async () => {
  let isClosed = false;
  gateway.upstream.script = (socket) => {
    socket.on("close", () => {
      isClosed = true;
    });
    socket.write(sseHead);
    const event = chunk(`data: {"choices":[{"index":0,"delta":{"content":"${"x".repeat(MIB)}"}}]}\n\n`);
    const more = (): void => {
      while (!socket.destroyed && socket.write(event));
    };
    socket.on("drain", more);
    more();
  };
  const client = await rawClient(gateway.port);
  client.socket.pause();
  client.send(postBytes("/v1/chat/completions", chatBody({ stream: true })));
  await eventually("the engine's connection is closed", () => isClosed, 10_000);
  await eventually("the lease is given back", () => gateway.dispatcher.granted.at(-1)?.disposed === true, 5_000);
  client.socket.destroy();
});

const local = (path: string, headers: Record<string, string>, body: Buffer | string) =>
  fetch(gateway.url + path, {
    method: "POST",
    headers: { "content-type": "application/json", ...headers },
    body: body as never,
  });

test("a deep body is refused on every route that reads JSON", async () => {
  const deep = `{"model":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  for (const path of ["/v1/chat/completions", "/api/show", "/v2/repository/index"]) {
    const answer = await local(path, {}, deep);
    expect([answer.status, await answer.text()], path).toEqual([400, expect.stringContaining("levels of nested")]);
  }
});

test("a compressed body is read on routes that answer from memory, as far as bodies may be long", async () => {
  const body = Buffer.from(JSON.stringify({ model: "nowhere" }));
  expect((await local("/api/show", { "content-encoding": "gzip" }, gzipSync(body))).status).toBe(404);
  const bomb = gzipSync(Buffer.alloc(64 * MIB, 32));
  expect((await local("/api/show", { "content-encoding": "gzip" }, bomb)).status).toBe(413);
});

test("connections over the limit are closed, and their place is free again when another ends", async () => {
  await using small = await testGateway((socket) => socket.end(jsonAnswer('{"n":1}')), { maxConnections: 2 });
  const held = [await rawClient(small.port), await rawClient(small.port)];
  for (const client of held) {
    client.send("GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n");
    await client.until("200 OK");
  }
  // The idle ones make room.
  const further = await rawClient(small.port);
  await further.untilClosed();
  await eventually("a connection is accepted", async () => (await fetch(`${small.url}/health`)).status === 200, 5_000);
});
