import { once } from "node:events";
import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { Redis } from "../../../../src/store/redis/client.ts";
import { startBadPeer, WRONG_ANSWERS } from "../../../support/bad-peer.ts";

test.each([
  ...WRONG_ANSWERS.filter(([name]) => !name.startsWith("nothing")),
  ["more items than there can be", (socket: Socket) => void socket.write("*99999999999\r\n")] as const,
  ["lists in lists without end", (socket: Socket) => void socket.write("*1\r\n".repeat(50_000))] as const,
  ["replies that nobody asked for", (socket: Socket) => void socket.write("*-1\r\n".repeat(20))] as const,
])("a server that answers with %s is an error that names it, and ends nothing", async (_, answer) => {
  await using peer = await startBadPeer(answer);
  const redis = new Redis(`redis://${peer.address}`, { maxRetriesPerRequest: 0 });
  redis.on("error", () => {});
  try {
    redis.get("key").catch(() => {});
    const [error] = await once(redis, "error");
    expect((error as Error).message).toContain(`${peer.address} does not speak the protocol of Redis`);
  } finally {
    redis.disconnect();
  }
});
