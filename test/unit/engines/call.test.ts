import type { Socket } from "node:net";
import { expect, test } from "vitest";
import { engineMetrics } from "../../../src/daemon/engine-metrics.ts";
import { callEngine } from "../../../src/engines/call.ts";
import { Abilities } from "../../../src/upstreams/unix/abilities.ts";
import { startBadPeer, WRONG_ANSWERS } from "../../support/bad-peer.ts";
import { chatCall } from "../../support/calls.ts";
import { testModel } from "../../support/fake-engine.ts";

test.each([
  ...WRONG_ANSWERS.slice(1),
  [
    "an offer of another protocol",
    (socket: Socket) =>
      void socket.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
  ] as const,
])("an engine that answers with %s has no answer, and no metrics", async (_, answer) => {
  await using peer = await startBadPeer(answer);
  const endpoint = peer.address;
  const ready = { id: "a", model: "river", state: "ready" as const, endpoint };
  const json = { tools: [{}] };
  const body = { json, bytes: Buffer.from(JSON.stringify(json)) };
  await expect(callEngine(endpoint, "GET", "/health", null, AbortSignal.timeout(5_000))).rejects.toThrow();
  expect(await engineMetrics([ready])).toBe("");
  expect(await new Abilities(endpoint).lacks(chatCall({ body }), testModel({ name: "river" }))).toBeNull();
});
