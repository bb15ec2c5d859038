import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, expect, test, vi } from "vitest";
import { bearerDoor } from "../../../src/gateway/front/error-body.ts";
import type { SocketsOptions } from "../../../src/gateway/front/sockets.ts";

vi.mock("ws", () => {
  throw Object.assign(new Error("too many open files"), { code: "EMFILE" });
});

// Other files of this process may have loaded it with the real one, and must not get this one.
vi.resetModules();
afterAll(() => vi.resetModules());
const { Sockets } = await import("../../../src/gateway/front/sockets.ts");

test("a WebSocket whose library cannot be loaded is refused, and nothing else happens", async () => {
  const door = {
    ...bearerDoor,
    name: "monitor",
    register: () => {},
    sockets: [{ path: "/ws/monitor", open: vi.fn() }],
  };
  const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
  const sockets = new Sockets({ doors: [door], log, refused: () => {} } as unknown as SocketsOptions);
  const server = createServer();
  server.on("upgrade", (request, stream, head) => sockets.upgrade(request, stream, head, false));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  client.write("GET /ws/monitor HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
  expect(await text(client)).toMatch(/^HTTP\/1.1 500 /);
  server.close();
});
