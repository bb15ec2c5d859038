import { once } from "node:events";
import { createServer } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import { expect, test } from "vitest";
import { Disconnect, watchDisconnects, withOthers } from "../../../src/gateway/front/disconnect.ts";

test("work is put off to the end of a turn while several requests run, and done at once for one that is alone", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  watchDisconnects(server);
  await once(server, "listening");
  const client = connect((server.address() as AddressInfo).port, "127.0.0.1");
  const [socket] = (await once(server, "connection")) as [Socket];
  const done: string[] = [];

  const first = new Disconnect(socket);
  withOthers(() => done.push("alone"));
  expect(done).toEqual(["alone"]);

  const second = new Disconnect(socket);
  withOthers(() => done.push("together"));
  expect(done).toEqual(["alone"]);
  await new Promise(setImmediate);
  expect(done).toEqual(["alone", "together"]);

  second.done();
  second.done();
  withOthers(() => done.push("alone again"));
  expect(done).toEqual(["alone", "together", "alone again"]);
  first.done();
  client.destroy();
  server.close();
});
