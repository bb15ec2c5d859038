import type { IncomingMessage, Server } from "node:http";
import type { Socket } from "node:net";
import { Cancellation } from "../../core/cancellation.ts";
import { atTurnEnd } from "../../core/turn-end.ts";
import { CallerGone } from "../../core/upstream.ts";

/** The running requests of each connection: one, or a few if a client pipelines. */
const watched = new WeakMap<Socket, Disconnect[]>();
/** Those of all connections. */
let running = 0;

/**
 * Runs at the end of a turn, together with the same of other requests; at once if there is only one request, which
 * would wait for nothing.
 */
export const withOthers = (work: () => void): void => (running > 1 ? atTurnEnd(work) : work());

/**
 * Makes every connection of a server cancel its running requests as soon as the client closes or half-closes it: an
 * HTTP client that will send nothing more is gone, and the engine's work for it is wasted.
 */
export function watchDisconnects(server: Server): void {
  server.on("connection", (socket: Socket) => {
    const running: Disconnect[] = [];
    watched.set(socket, running);
    const cancelAll = (): void => {
      if (running.length === 0) return;
      for (const disconnect of [...running]) disconnect.disconnected();
      // A half-closed client that does not read would otherwise keep the connection forever.
      socket.destroy();
    };
    socket.once("end", cancelAll);
    socket.once("close", cancelAll);
  });
}

/** The disconnect of one request's client, with `CallerGone`. */
export class Disconnect extends Cancellation {
  readonly #running: Disconnect[] | undefined;

  constructor(socket: Socket) {
    super();
    this.#running = watched.get(socket);
    if (this.#running === undefined || socket.destroyed) this.disconnected();
    else {
      this.#running.push(this);
      running += 1;
    }
  }

  disconnected(): void {
    this.done();
    this.cancel(new CallerGone());
  }

  /** The request is over; its client may disconnect. */
  done(): void {
    const at = this.#running?.indexOf(this) ?? -1;
    if (at < 0) return;
    this.#running?.splice(at, 1);
    running -= 1;
  }
}

/** The disconnect of a request's client; never cancelled for a request over gRPC, which has no connection here. */
export function cancellationOf(socket: Socket): Cancellation & Disposable {
  const cancellation = watched.has(socket) ? new Disconnect(socket) : new Cancellation();
  return Object.assign(cancellation, {
    [Symbol.dispose]: () => {
      if (cancellation instanceof Disconnect) cancellation.done();
    },
  });
}

/** Runs `work` with a signal that aborts when the request's client disconnects. */
export async function whileConnected<T>(
  { socket }: Pick<IncomingMessage, "socket">,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  using cancellation = cancellationOf(socket);
  const gone = new AbortController();
  cancellation.onCancel = (reason) => gone.abort(reason);
  if (cancellation.reason !== null) gone.abort(cancellation.reason);
  return await work(gone.signal);
}
