import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { getStatus } from "../../../../src/upstreams/worker/get-status.ts";
import { startBadPeer, WRONG_ANSWERS } from "../../../support/bad-peer.ts";

const dripping = (socket: Socket): void => {
  const timer = setInterval(() => (socket.destroyed ? clearInterval(timer) : socket.write("a")), 5);
  socket.write("HTTP/1.1 200 OK\r\nX-Padding: ");
};

test.each([
  ...WRONG_ANSWERS.slice(1),
  ["an offer of another protocol", (socket: Socket) => void socket.write(UPGRADE)] as const,
  ["a head byte by byte", dripping] as const,
])("a worker that answers with %s is one without a status", async (_, answer) => {
  await using peer = await startBadPeer(answer);
  expect(await getStatus(`http://${peer.address}/health`, 100)).toBeInstanceOf(Error);
});
const UPGRADE = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n";
