import { describe, expect, test } from "vitest";
import { eventually } from "../support/assistant.ts";
import { chatBody, startGateway } from "../support/gateway.ts";
import { postBytes, type RawClient, rawClient } from "../support/raw-http.ts";
import { chatEvents, chunk, sseHead } from "../support/scripted-upstream.ts";

const path = "/v1/chat/completions";
const firstEvents = chatEvents(["The", " Rhine"]).slice(0, 3).map(chunk).join("");

/** The ways in which a client leaves. */
const leavings: readonly (readonly [string, (client: RawClient) => void])[] = [
  ["closes", (client) => client.socket.destroy()],
  ["half-closes", (client) => client.socket.end()],
  ["resets", (client) => client.socket.resetAndDestroy()],
];

describe.each(leavings)("a client that %s", (_, leave) => {
  test("while it waits in the queue causes no dispatch", async () => {
    const { port, dispatcher, upstream } = await startGateway(() => {});
    dispatcher.hold();
    const client = await rawClient(port);
    client.send(postBytes(path, chatBody({ stream: true })));
    await eventually("the request waits", () => dispatcher.asked.length === 1);
    leave(client);
    await eventually("it left the queue", () => dispatcher.abandoned.length === 1);
    dispatcher.release();
    expect(dispatcher.granted).toHaveLength(0);
    expect(upstream.opened()).toBe(0);
  });

  test.each([true, false])("in prefill stops the engine (streamed: %s)", async (stream) => {
    const { port, dispatcher, upstream } = await startGateway(() => {});
    const client = await rawClient(port);
    client.send(postBytes(path, chatBody({ stream })));
    await eventually("the engine has the request", () => upstream.requests.length === 1);
    expect(upstream.closed()).toBe(0);
    leave(client);
    await eventually("the engine's connection is closed", () => upstream.closed() === 1, 2_000);
    await eventually("the slot is back", () => dispatcher.granted[0]?.disposed === true);
    expect(dispatcher.granted[0]?.outcome?.end).toBe("cancelled");
  });

  test("in decode stops the engine", async () => {
    const { port, dispatcher, upstream, lines } = await startGateway(
      (socket) => void socket.write(sseHead + firstEvents),
    );
    const client = await rawClient(port);
    client.send(postBytes(path, chatBody({ stream: true })));
    await client.until("Rhine");
    leave(client);
    await eventually("the engine's connection is closed", () => upstream.closed() === 1, 2_000);
    await eventually("the log tells", () =>
      lines.some((line) => line["end"] === "cancelled" && line["status"] === null),
    );
    expect(dispatcher.granted[0]?.outcome?.end).toBe("cancelled");
  });

  test("in decode of an answer that is not streamed stops the engine", async () => {
    const { port, upstream } = await startGateway(
      (socket) =>
        void socket.write(
          'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"choices":[',
        ),
    );
    const client = await rawClient(port);
    client.send(postBytes(path, chatBody()));
    await client.until("choices");
    leave(client);
    await eventually("the engine's connection is closed", () => upstream.closed() === 1, 2_000);
  });
});

test("a client that half-closes while it still sends is gone", async () => {
  const { port, dispatcher } = await startGateway(() => {});
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody()).slice(0, -5));
  client.socket.end();
  await client.untilClosed();
  expect(dispatcher.asked).toHaveLength(0);
});

test("the departure of one pipelining client takes all its requests along", async () => {
  const { port, upstream } = await startGateway(() => {});
  const client = await rawClient(port);
  client.send(postBytes(path, chatBody({ stream: true })) + postBytes(path, chatBody({ stream: true })));
  await eventually("both are at the engine", () => upstream.requests.length === 2);
  client.socket.end();
  await eventually("both are stopped", () => upstream.closed() === 2, 2_000);
});

test("a hundred clients that leave give a hundred slots back", async () => {
  const { port, dispatcher, upstream } = await startGateway((socket) => void socket.write(sseHead + firstEvents));
  const clients = await Promise.all(
    Array.from({ length: 100 }, async () => {
      const client = await rawClient(port);
      client.send(postBytes(path, chatBody({ stream: true })));
      return client;
    }),
  );
  await Promise.all(clients.map((client) => client.until("Rhine")));
  for (const [index, client] of clients.entries()) leavings[index % leavings.length]?.[1](client);
  await eventually(
    "all slots are back",
    () => dispatcher.granted.every((granted) => granted.disposed) && upstream.closed() === 100,
  );
  expect(dispatcher.granted).toHaveLength(100);
});
