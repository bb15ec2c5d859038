import type { Server } from "node:http";
import type { Socket } from "node:net";

/** The abort reason of a request whose client has left. Nobody is there to be told. */
export class ClientGone extends Error {
  constructor() {
    super("the client has left");
    this.name = "ClientGone";
  }
}

const watched = new WeakMap<Socket, Set<AbortController>>();

/**
 * Makes every connection of a server abort its running requests as soon as the client closes it, wholly or half:
 * somebody who will send nothing more on an HTTP connection has left, and the engine's work for them is wasted.
 */
export function watchDepartures(server: Server): void {
  server.on("connection", (socket: Socket) => {
    const running = new Set<AbortController>();
    watched.set(socket, running);
    const leave = (): void => {
      if (running.size === 0) return;
      for (const controller of running) controller.abort(new ClientGone());
      running.clear();
      // A half-closed client that does not read would otherwise keep the connection for ever.
      socket.destroy();
    };
    socket.once("end", leave);
    socket.once("close", leave);
  });
}

/** A signal that aborts with `ClientGone` when the connection's client leaves before `done` is called. */
export function departureOf(socket: Socket): { readonly signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  const running = watched.get(socket);
  if (running === undefined || socket.destroyed) controller.abort(new ClientGone());
  else running.add(controller);
  return { signal: controller.signal, done: () => running?.delete(controller) };
}
