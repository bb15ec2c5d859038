import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { openTrigger } from "../../../src/pipelines/trigger.ts";
import { startBadPeer } from "../../support/bad-peer.ts";

const http = (socket: Socket): void => void socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
const variable = (): undefined => undefined;

test("a source at the address of another server is logged once, with the address", async () => {
  await using peer = await startBadPeer(http);
  const lines: object[] = [];
  const log = { warn: (fields: object) => void lines.push(fields) };
  const settings = { use: "redis" as const, list: "jobs", url: `redis://${peer.address}` };
  const source = await openTrigger(
    { name: "jobs" } as Parameters<typeof openTrigger>[0],
    { use: "redis", concurrency: 1, settings },
    { inference: null as never, variable, log },
  );
  await expect.poll(() => peer.connections, { timeout: 10_000 }).toBeGreaterThan(2);
  await source.close();
  expect(lines).toEqual([
    { pipeline: "jobs", source: "redis", error: expect.stringContaining(`${peer.address} does not speak`) },
  ]);
});
