import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** Unanswered requests of one connection. */
export const MAX_PIPELINED = 16;

const unanswered = new WeakMap<Socket, number>();

/**
 * Whether a connection may have one more request; otherwise it is closed. Node.js handles all requests that a client
 * has sent at once, and holds their answers in memory until the client reads them.
 */
export function hasRoom({ socket }: IncomingMessage, response: ServerResponse): boolean {
  const count = unanswered.get(socket) ?? 0;
  if (count >= MAX_PIPELINED) {
    socket.destroy();
    return false;
  }
  unanswered.set(socket, count + 1);
  // Emitted once the client's socket has taken the whole answer.
  response.once("close", () => unanswered.set(socket, (unanswered.get(socket) ?? 1) - 1));
  return true;
}
