import type { Server } from "node:http";
import type { Socket } from "node:net";
import { Cancellation } from "../../core/cancellation.ts";

/** The reason of a request whose client has left. Nobody is there to be told. */
export class ClientGone extends Error {
  constructor() {
    super("the client has left");
    this.name = "ClientGone";
  }
}

/** The running requests of each connection: one, or a few where a client pipelines. */
const watched = new WeakMap<Socket, Departure[]>();

/**
 * Makes every connection of a server abort its running requests as soon as the client closes it, wholly or half:
 * somebody who will send nothing more on an HTTP connection has left, and the engine's work for them is wasted.
 */
export function watchDepartures(server: Server): void {
  server.on("connection", (socket: Socket) => {
    const running: Departure[] = [];
    watched.set(socket, running);
    const leave = (): void => {
      if (running.length === 0) return;
      for (const departure of [...running]) departure.leave();
      // A half-closed client that does not read would otherwise keep the connection for ever.
      socket.destroy();
    };
    socket.once("end", leave);
    socket.once("close", leave);
  });
}

/** The leaving of one request's client, with `ClientGone`. */
export class Departure extends Cancellation {
  readonly #running: Departure[] | undefined;

  constructor(socket: Socket) {
    super();
    this.#running = watched.get(socket);
    if (this.#running === undefined || socket.destroyed) this.leave();
    else this.#running.push(this);
  }

  leave(): void {
    this.done();
    this.cancel(new ClientGone());
  }

  /** The request is over; its client may go. */
  done(): void {
    const at = this.#running?.indexOf(this) ?? -1;
    if (at >= 0) this.#running?.splice(at, 1);
  }
}
