import { createServer } from "node:net";
import { expect, test } from "vitest";
import { LoopbackPorts } from "../../../src/fleet/loopback-ports.ts";
import { listeningSockets, PortWatch } from "../../../src/fleet/port-listener.ts";

const HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode";
const row = (local: string, state: string, inode: number): string =>
  `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:00000000 00000000  1000        0 ${inode} 1 0000000000000000 100 0 0 10 0`;

test("sockets that would take a connection to the loopback port, and no others", () => {
  const table = [
    HEAD,
    row("0100007F:1F90", "0A", 11),
    row("00000000:1F90", "0A", 12),
    row("0100007F:1F91", "0A", 13), // another port
    row("0100007F:1F90", "01", 14), // a connection
    row("0200007F:1F90", "0A", 15), // 127.0.0.2
    row("0A01A8C0:1F90", "0A", 16), // another address
  ].join("\n");
  expect(listeningSockets(table, 8080)).toEqual(["socket:[11]", "socket:[12]"]);
  const table6 = [HEAD, row(`${"0".repeat(32)}:1F90`, "0A", 21), row(`${"0".repeat(24)}01000000:1F90`, "0A", 22)];
  expect(listeningSockets(table6.join("\n"), 8080)).toEqual(["socket:[21]"]);
});

test("nobody listens, then this process does, which is a stranger to every other group", async () => {
  const ports = new LoopbackPorts();
  const port = await ports.take();
  const { pid } = process;
  expect(await new PortWatch(port, pid).look()).toBe("nobody");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  // No process group has the number of the init process but its own.
  expect(await new PortWatch(port, 1).look()).toBe("stranger");
  await new Promise((resolve) => server.close(resolve));
});

test("a port is nobody else's until it is given back", async () => {
  const ports = new LoopbackPorts();
  const taken = await Promise.all(Array.from({ length: 20 }, () => ports.take()));
  expect(new Set(taken).size).toBe(20);
});
