import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, createServer as createTcpServer } from "node:net";
import { expect, test } from "vitest";
import { getStatus } from "../../../src/upstreams/worker/get-status.ts";
import { workerDrivers } from "../../../src/workers/protocols.ts";

test("a worker without a route for its health is well, one that answers with an error or not at all is not", async () => {
  let status = 204;
  const server = createServer((_, response) => void response.writeHead(status).end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/chat`;
  const health: Record<number, string> = {};
  for (status of [200, 204, 401, 404, 405, 500, 501, 503]) health[status] = await workerDrivers.form.health(endpoint);
  expect(health).toEqual({
    ...{ 200: "well", 204: "well", 404: "well", 405: "well", 501: "well" },
    ...{ 401: "unwell", 500: "unwell", 503: "unwell" },
  });
  server.close();
  await once(server, "close");
  expect(await workerDrivers.form.health(endpoint)).toBe("unwell");
});

test("a worker whose answer comes byte by byte is silent once its time is over", async () => {
  const server = createTcpServer((socket) => {
    const timer = setInterval(() => socket.write("x"), 5);
    socket.write("HTTP/1.1 200 OK\r\nx-long: ");
    socket.on("error", () => {}).on("close", () => clearInterval(timer));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  expect(await getStatus(`http://127.0.0.1:${port}/health`, 50)).toMatchObject({ code: "ETIMEDOUT" });
  server.close();
});
