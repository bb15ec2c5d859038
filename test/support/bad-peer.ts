import { once } from "node:events";
import { type AddressInfo, createServer, type Socket } from "node:net";

/** A server on loopback that is not what its clients take it for. */
export interface BadPeer extends AsyncDisposable {
  /** `127.0.0.1:PORT`. */
  readonly address: string;
  /** Connections that were made so far. */
  readonly connections: number;
  /** Those that are open. */
  readonly open: number;
}

/** `answer` is called with each connection once its client has sent something. */
export async function startBadPeer(answer: (socket: Socket) => void): Promise<BadPeer> {
  const open = new Set<Socket>();
  let connections = 0;
  const server = createServer((socket) => {
    connections += 1;
    open.add(socket);
    socket.on("error", () => {}).once("close", () => open.delete(socket));
    socket.once("data", () => answer(socket)).resume();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    address: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    get connections() {
      return connections;
    },
    get open() {
      return open.size;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of open) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}

/** Sends the same bytes as fast as they are taken. */
export function flood(socket: Socket, bytes: Buffer): void {
  const more = (): void => {
    while (!socket.destroyed && socket.write(bytes));
  };
  socket.on("drain", more);
  more();
}

/** What other servers send, and what none would. */
export const WRONG_ANSWERS: readonly (readonly [name: string, answer: (socket: Socket) => void])[] = [
  ["HTTP", (socket) => void socket.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")],
  ["a TLS alert", (socket) => void socket.end(Buffer.from([0x15, 3, 3, 0, 2, 2, 40]))],
  ["SSH", (socket) => void socket.write("SSH-2.0-OpenSSH_9.6\r\n")],
  ["only ones", (socket) => void socket.write(Buffer.alloc(4_096, 0xff))],
  ["only zeros", (socket) => void socket.write(Buffer.alloc(4_096))],
  ["an endless line", (socket) => flood(socket, Buffer.alloc(65_536, "a"))],
  ["nothing before it closes", (socket) => void socket.end()],
  ["nothing before it resets", (socket) => void socket.resetAndDestroy()],
];
