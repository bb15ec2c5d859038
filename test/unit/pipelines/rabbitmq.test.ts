import { once } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { RabbitConnection } from "../../../src/pipelines/rabbitmq.ts";
import { rabbitmqSource } from "../../../src/pipelines/sources/rabbitmq.ts";
import { rabbitmqStage } from "../../../src/pipelines/stages/rabbitmq.ts";
import { startBadPeer } from "../../support/bad-peer.ts";

test.each([
  ["HTTP", ["HTTP/1.1 400 ", "Bad Request\r\nConnection: close\r\n\r\n"]],
  ["nothing known", [Buffer.alloc(7, 0xff), Buffer.alloc(64, 0xff)]],
])("a server that speaks %s is an error, and ends nothing", async (_, answer) => {
  await using peer = await startBadPeer(async (socket: Socket) => {
    for (const piece of answer) {
      socket.write(piece);
      await new Promise(setImmediate);
    }
    socket.end();
  });
  const connection = new RabbitConnection(`amqp://${peer.address}`);
  try {
    const [error] = await once(connection, "error");
    expect(error).toMatchObject({ message: `the server at ${peer.address} does not speak AMQP 0-9-1` });
  } finally {
    connection.unsafeDestroy();
  }
});

test("source and stage close at once where the broker never answers", async () => {
  let reached = 0;
  await using peer = await startBadPeer(() => reached++);
  const url = `amqp://${peer.address}`;
  const variable = () => undefined;
  const source = rabbitmqSource(
    { use: "rabbitmq", queue: "jobs", url },
    { concurrency: 1, variable, trouble: () => {}, answer: async () => "" },
  );
  const stage = rabbitmqStage({ use: "rabbitmq", routing_key: "done", url }, variable);
  stage.heartbeat?.().catch(() => {});
  await expect.poll(() => reached).toBe(2);
  await Promise.all([source.close(), stage.close?.()]);
  // The library would connect for ten seconds more.
  await expect.poll(() => peer.open).toBe(0);
});
