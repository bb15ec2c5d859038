import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { expect, test } from "vitest";
import { RabbitConnection } from "../../../src/pipelines/rabbitmq.ts";

test.each([
  ["HTTP", ["HTTP/1.1 400 ", "Bad Request\r\nConnection: close\r\n\r\n"]],
  ["nothing known", [Buffer.alloc(7, 0xff), Buffer.alloc(64, 0xff)]],
])("a server that speaks %s is an error, and ends nothing", async (_, answer) => {
  const server = createServer(async (socket) => {
    socket.on("error", () => {});
    await once(socket, "data");
    for (const piece of answer) {
      socket.write(piece);
      await new Promise(setImmediate);
    }
    socket.end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const connection = new RabbitConnection(`amqp://127.0.0.1:${(server.address() as AddressInfo).port}`);
  try {
    const [error] = await once(connection, "error");
    expect(error).toMatchObject({ message: "the server at this address does not speak AMQP 0-9-1" });
  } finally {
    connection.unsafeDestroy();
    server.close();
    await once(server, "close");
  }
});
