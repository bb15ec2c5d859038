import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { expect, test } from "vitest";
import { atTurnEnd, writeAtTurnEnd } from "../../../src/core/turn-end.ts";

test("what was put off is done in order, once all that had arrived was seen to", async () => {
  const done: string[] = [];
  atTurnEnd(() => done.push("first"));
  atTurnEnd(() => done.push("second"));
  await Promise.resolve();
  process.nextTick(() => done.push("arrived"));
  await new Promise(setImmediate);
  expect(done).toEqual(["arrived", "first", "second"]);
});

test("what is put off meanwhile is done in the next turn", async () => {
  const done: string[] = [];
  atTurnEnd(() => atTurnEnd(() => done.push("later")));
  await new Promise(setImmediate);
  expect(done).toEqual([]);
  await new Promise(setImmediate);
  expect(done).toEqual(["later"]);
});

test("several writes to a socket leave it together", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  const client = connect(port, "127.0.0.1");
  const [received] = (await once(server, "connection")) as [Socket];
  for (const text of ["a", "b", "c"]) {
    writeAtTurnEnd(client);
    client.write(text);
  }
  expect(client.writableCorked).toBe(1);
  const [bytes] = (await once(received, "data")) as [Buffer];
  expect(bytes.toString()).toBe("abc");
  client.destroy();
  received.destroy();
  server.close();
});
