import { once } from "node:events";
import fastify from "fastify";
import { expect, test, vi } from "vitest";
import { type ReplicasDoorOptions, replicasDoor } from "../../../src/gateway/doors/replicas/door.ts";
import { Replicas } from "../../../src/replicas/replicas.ts";

test("a replica whose program disconnects before it is registered is registered no longer than that", async () => {
  const events: string[] = [];
  const replicas = new Replicas({
    isTaken: () => false,
    onChange: () => {},
    log: (event) => events.push(event),
  });
  const options = { replicas, isLocal: () => true, allowedHosts: () => [] };
  await using app = fastify();
  app.addHook("preHandler", async ({ raw }, { raw: response }) => {
    raw.socket.destroy();
    await once(response, "close");
  });
  replicasDoor(options as unknown as ReplicasDoorOptions).register?.(app);
  const url = await app.listen({ host: "127.0.0.1", port: 0 });
  const capabilities = [{ type: "echo" }];
  const body = JSON.stringify({ replica_id: "r1", endpoint: "127.0.0.1:9", capabilities });
  await expect(
    fetch(`${url}/register`, { method: "POST", body, headers: { "content-type": "application/json" } }),
  ).rejects.toThrow();
  await vi.waitFor(() => expect(events).toContain("registered"));
  expect([events, replicas.list()]).toEqual([["registered", "unregistered"], []]);
});
