import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { closeServer, openServer } from "../../../src/gateway/server.ts";

test("an address that is taken is an error that names the key that holds it", async () => {
  const [taken, late] = [createServer(), createServer()];
  await openServer(taken, { host: "127.0.0.1", port: 0 }, "`[server] http_addr`");
  const { port } = taken.address() as AddressInfo;
  await expect(openServer(late, { host: "127.0.0.1", port }, "`[pipelines] addr`")).rejects.toMatchObject({
    code: "address_in_use",
    message: `Another program listens on 127.0.0.1:${port}.`,
    remedy: "Stop it, or choose another address with `[pipelines] addr`.",
  });
  await closeServer(taken, true);
});
