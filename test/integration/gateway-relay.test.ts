import { expect, test } from "vitest";
import { MAX_PIPELINED } from "../../src/gateway/front/pipelined.ts";
import { eventually } from "../support/assistant.ts";
import { chatBody, startGateway } from "../support/gateway.ts";
import { bodyOf, postBytes, rawClient } from "../support/raw-http.ts";
import { chatEvents, chunk, jsonAnswer, LAST_CHUNK, sseHead } from "../support/scripted-upstream.ts";

const events = chatEvents(["The", " Rhine", ', née "Rhenus"', " 🌊"]);
const framed = events.map(chunk).join("") + LAST_CHUNK;
const path = "/v1/chat/completions";

test("a stream reaches the client byte for byte, chunk framing included", async () => {
  const { port } = await startGateway((socket) => socket.end(sseHead + framed));
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  const answer = await client.until(LAST_CHUNK);
  expect(bodyOf(answer)).toBe(framed);
  expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(answer).toMatch(/content-type: text\/event-stream/i);
  expect(answer).not.toMatch(/content-length/i);
});

test("the engine gets the client's bytes unchanged", async () => {
  const { port, upstream } = await startGateway((socket) => socket.end(jsonAnswer('{"ok":true}')));
  const body = '{ "model":"river",\n "messages" : [{"role":"user","content":"Grüße 🌊"}], "unknown_field": [1, 2.50] }';
  const client = await rawClient(port);
  client.send(postBytes(path, body));
  await client.until('{"ok":true}');
  expect(upstream.requests[0]?.body).toBe(body);
});

test("one connection serves streamed and whole answers one after the other", async () => {
  const { port } = await startGateway((socket, { body }) =>
    socket.end(body.includes('"stream":true') ? sseHead + framed : jsonAnswer('{"n":1}')),
  );
  const client = await rawClient(port);
  for (let round = 0; round < 3; round++) {
    const before = client.received().length;
    client.send(postBytes(path, chatBody({ stream: true })));
    await eventually("the stream's end", () => client.received().subarray(before).toString().endsWith(LAST_CHUNK));
    client.send(postBytes(path, chatBody()));
    await eventually("the whole answer", () => client.received().toString().endsWith('{"n":1}'));
  }
  expect(client.ended()).toBe(false);
});

test("pipelined requests are answered in their order, whatever the engine's order was", async () => {
  const late: (() => void)[] = [];
  const { port, upstream } = await startGateway((socket, { body }) => {
    const which = /"seed":(\d)/.exec(body)?.[1];
    const answer = (): void => void socket.end(sseHead + chunk(`data: {"answer":${which}}\n\n`) + LAST_CHUNK);
    if (which === "1") late.push(answer);
    else answer();
  });
  const client = await rawClient(port);
  client.send([1, 2, 3].map((seed) => postBytes(path, chatBody({ stream: true, seed }))).join(""));
  await eventually("all three are at the engine", () => upstream.requests.length === 3);
  for (const answer of late) answer();
  const text = await client.until('"answer":3}\n\n\r\n0\r\n\r\n');
  expect([...text.matchAll(/"answer":(\d)/g)].map(([, which]) => which)).toEqual(["1", "2", "3"]);
});

test("a client that pipelines too many requests is disconnected, and one that reads its answers is not", async () => {
  const { port, upstream } = await startGateway(() => {});
  const greedy = await rawClient(port);
  greedy.send(postBytes(path, chatBody()).repeat(MAX_PIPELINED + 2));
  await greedy.untilClosed();
  expect(upstream.requests.length).toBeLessThanOrEqual(MAX_PIPELINED + 1);
  const client = await rawClient(port);
  const health = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
  for (let sent = 1; sent <= 3; sent++) {
    client.send(health.repeat(MAX_PIPELINED));
    const answers = (): number => client.received().toString().split('{"status":"ok"}').length - 1;
    await eventually("all are answered", () => answers() === sent * MAX_PIPELINED);
  }
  expect(client.ended()).toBe(false);
});

test("a slow reader slows the engine down instead of filling the daemon's memory", async () => {
  const piece = chunk(`data: ${"x".repeat(16_000)}\n\n`);
  let written = 0;
  const pieces = 1_500;
  const { port } = await startGateway((socket) => {
    socket.write(sseHead);
    const more = (): void => {
      while (written < pieces) {
        written++;
        if (!socket.write(piece)) return void socket.once("drain", more);
      }
      socket.end(LAST_CHUNK);
    };
    more();
  });
  const client = await rawClient(port);
  client.socket.pause();
  client.send(postBytes(path, chatBody({ stream: true })));
  // The engine comes to a halt: what it has written stops growing well short of the whole.
  let last = -1;
  await eventually("the engine is held back", async () => {
    const before = last;
    last = written;
    await new Promise((resolve) => setTimeout(resolve, 100));
    return written > 0 && before === written;
  });
  expect(written).toBeLessThan(pieces / 2);
  client.socket.resume();
  await eventually(
    "everything arrives in the end",
    () => client.size() >= pieces * piece.length && client.received().subarray(-5).toString() === LAST_CHUNK,
    20_000,
  );
  expect(bodyOf(client.received().toString("latin1")).length).toBe(pieces * piece.length + LAST_CHUNK.length);
});

test("an HTTP/1.0 client gets plain bytes and the end of the connection", async () => {
  const { port } = await startGateway((socket) => socket.end(sseHead + framed));
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true }), { version: "1.0" }));
  const answer = await client.untilClosed();
  expect(bodyOf(answer)).toBe(events.join(""));
  expect(answer).not.toMatch(/transfer-encoding/i);
  expect(answer).toMatch(/connection: close/i);
});

test("chunks that arrive byte by byte come out whole", async () => {
  const { port } = await startGateway((socket) => {
    const bytes = Buffer.from(sseHead + framed);
    let at = 0;
    const step = (): void => {
      if (at >= bytes.length) return void socket.end();
      socket.write(bytes.subarray(at, at + 7));
      at += 7;
      setImmediate(step);
    };
    step();
  });
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  expect(bodyOf(await client.until(LAST_CHUNK))).toBe(framed);
});

test("connections to the engine are kept after whole answers and are the stream's own otherwise", async () => {
  const { port, upstream } = await startGateway((socket, { head, body }) => {
    if (body.includes('"stream":true')) socket.end(sseHead + framed);
    else socket.write(jsonAnswer('{"n":1}', "200 OK", /keep-alive/.test(head) ? "keep-alive" : "close"));
  });
  const client = await rawClient(port);
  for (let round = 1; round <= 4; round++) {
    client.send(postBytes(path, chatBody()));
    await eventually("the answer", () => client.received().toString().split('{"n":1}').length === round + 1);
  }
  expect(upstream.opened()).toBe(1);
  client.send(postBytes(path, chatBody({ stream: true })));
  await client.until(LAST_CHUNK);
  client.send(postBytes(path, chatBody()));
  await eventually("the last answer", () => client.received().toString().split('{"n":1}').length === 6);
  expect(upstream.opened()).toBe(2);
});

test("a kept connection that the engine has closed in the meantime costs nothing but a new one", async () => {
  const { port, upstream } = await startGateway((socket) => {
    socket.write(jsonAnswer('{"n":1}', "200 OK", "keep-alive"));
    socket.end();
  });
  const client = await rawClient(port);
  for (let round = 1; round <= 3; round++) {
    client.send(postBytes(path, chatBody()));
    await eventually("the answer", () => client.received().toString().split('{"n":1}').length === round + 1);
    await eventually("the gateway saw the end", () => upstream.closed() === round);
  }
  expect(client.received().toString()).not.toContain("engine_lost");
});

test("bytes behind an answer's stated end never reach the next client", async () => {
  const { port, upstream } = await startGateway((socket) =>
    socket.write(`${jsonAnswer('{"n":1}', "200 OK", "keep-alive")}{"stray":true}`),
  );
  const client = await rawClient(port);
  for (let round = 1; round <= 2; round++) {
    client.send(postBytes(path, chatBody()));
    await eventually("the answer", () => client.received().toString().split('{"n":1}').length === round + 1);
  }
  expect(client.received().toString()).not.toContain("stray");
  expect(upstream.opened()).toBe(2);
});

test("the outcome of a stream is read from its end", async () => {
  const { port, dispatcher } = await startGateway((socket) => socket.end(sseHead + framed));
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  await client.until(LAST_CHUNK);
  await eventually("the lease is back", () => dispatcher.granted[0]?.disposed === true);
  expect(dispatcher.granted[0]?.outcome).toEqual({
    end: "complete",
    promptTokens: 12,
    cachedTokens: 5,
    completionTokens: 4,
    promptMs: 12.5,
    completionMs: 30.25,
  });
});

test("an engine's comments are relayed, and are not the first token", async () => {
  let answer: () => void = () => {};
  let end: () => void = () => {};
  const { port, dispatcher } = await startGateway((socket) => {
    socket.write(sseHead + chunk(": ping\n\n"));
    answer = () => void socket.write(chunk('data: {"first":1}\n\n'));
    end = () => void socket.end(framed);
  });
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })));
  await client.until(": ping\n\n");
  expect(dispatcher.granted[0]?.firstToken).toBe(false);
  answer();
  await client.until('"first"');
  expect(dispatcher.granted[0]?.firstToken).toBe(true);
  end();
  await client.until(LAST_CHUNK);
});

test("embeddings tell their usage before a long body", async () => {
  const vector = Array.from({ length: 4000 }, (_, index) => index / 7);
  const body = JSON.stringify({
    model: "vectors",
    object: "list",
    usage: { prompt_tokens: 9, total_tokens: 9 },
    data: [{ embedding: vector, index: 0, object: "embedding" }],
  });
  const { url, dispatcher } = await startGateway((socket) => socket.end(jsonAnswer(body)));
  const answer = await fetch(`${url}/v1/embeddings`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model: "vectors", input: "hello" }),
  });
  expect(await answer.text()).toBe(body);
  await eventually("the outcome", () => dispatcher.granted[0]?.outcome?.promptTokens === 9);
});
