import type { Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "rabbitmq-client";

const CONNECT_MS = 10_000;
const CLOSE_MS = 2_000;
/** Brokers use 128 KiB by default. */
const MAX_FRAME_BYTES = 64 * 2 ** 20;

/**
 * A connection to a broker, which is re-established when it breaks: a restored broker is noticed within seconds.
 * Another server at the address, such as one for HTTP, is an error like any other.
 */
export class RabbitConnection extends Connection {
  constructor(url: string) {
    super({ url, acquireTimeout: CONNECT_MS, retryLow: 500, retryHigh: 5_000 });
  }

  /** Resolves when it is connected; rejects with the reason after `CONNECT_MS`. */
  connected(): Promise<void> {
    return this.onConnect(CONNECT_MS, true);
  }

  /** Closes it; if the broker does not respond, within `CLOSE_MS`. */
  async end(user: { close(): Promise<void> } | undefined): Promise<void> {
    const orderly = (async () => {
      await user?.close();
      await this.close();
    })().catch(() => {});
    await Promise.race([orderly, sleep(this.ready ? CLOSE_MS : 0, undefined, { ref: false })]);
    this.unsafeDestroy();
  }

  /**
   * The library does not check the length of a frame. A length above what a stream can read throws in the socket's
   * listener, which would end the daemon.
   */
  protected _connect(): Socket {
    const socket = libraryConnect.call(this);
    const read = socket.read.bind(socket);
    socket.read = (bytes?: number) => {
      if (bytes === undefined || bytes <= MAX_FRAME_BYTES) return read(bytes);
      if (!socket.destroyed)
        socket.destroy(
          new Error(`the server at ${socket.remoteAddress}:${socket.remotePort} does not speak AMQP 0-9-1`),
        );
      return null;
    };
    return socket;
  }
}

const { _connect: libraryConnect } = Connection.prototype as unknown as { _connect(this: Connection): Socket };
