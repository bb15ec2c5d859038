import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Requests of one connection that wait until an earlier one is answered. */
export const MAX_PIPELINED = 16;

const waiting = new WeakMap<Socket, number>();

/**
 * Whether a connection may have one more request; otherwise it is closed. Node.js handles all requests that a client
 * has sent at once, and holds their answers in memory until the client reads them.
 */
export function hasRoom({ socket }: IncomingMessage, response: ServerResponse): boolean {
  // An answer has its socket at once, unless it must wait for an earlier one.
  if (response.socket !== null) return true;
  const count = waiting.get(socket) ?? 0;
  if (count >= MAX_PIPELINED) {
    socket.destroy();
    return false;
  }
  waiting.set(socket, count + 1);
  // Emitted once the client's socket has taken the whole answer.
  response.once("close", () => waiting.set(socket, (waiting.get(socket) ?? 1) - 1));
  return true;
}
