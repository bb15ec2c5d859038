import { Redis } from "ioredis";
import * as handlers from "ioredis/built/DataHandler.js";

/** The largest value that Redis keeps. */
const MAX_REPLY_BYTES = 512 * 2 ** 20;

interface Stream extends NodeJS.ReadableStream {
  readonly bytesRead: number;
  readonly destroyed: boolean;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  destroy(): void;
}
interface Client {
  readonly stream?: Stream;
  resetCommandQueue(): void;
  recoverFromFatalError(commandError: Error, error: Error, options: { readonly offlineQueue: boolean }): void;
}
type ConnectedClient = Client & { readonly stream: Stream };
interface Handler {
  readonly redis: ConnectedClient;
  dispatch(deliver: () => void): void;
  returnFatalError(error: Error): void;
}
type HandlerClass = { readonly prototype: Handler };

/** Bytes that a connection had read when its last reply was complete. */
const wholeAt = new WeakMap<Stream, number>();

function end(client: ConnectedClient, { message }: Error): void {
  const { stream } = client;
  // One chunk of data may contain many replies.
  if (stream.destroyed) return;
  const at = stream.remoteAddress === undefined ? "this address" : `${stream.remoteAddress}:${stream.remotePort}`;
  const failure = new Error(`the server at ${at} does not speak the protocol of Redis: ${message}`);
  client.recoverFromFatalError(failure, failure, { offlineQueue: false });
  stream.destroy();
}

// On some replies that Redis never sends, the library throws in a listener, which would end the daemon, and it buffers an
// endless reply without limit. Here, both close the connection, which is then reopened. This also covers BullMQ's.
const { default: exported } = handlers as unknown as { default: HandlerClass | { default: HandlerClass } };
const handler = ("default" in exported ? exported.default : exported).prototype;
handler.dispatch = function (this: Handler, deliver) {
  const { stream } = this.redis;
  wholeAt.set(stream, stream.bytesRead);
  try {
    deliver();
  } catch (error) {
    end(this.redis, error as Error);
  }
};
handler.returnFatalError = function (this: Handler, error) {
  end(this.redis, error);
};

const client = Redis.prototype as unknown as Client;
const { resetCommandQueue } = client;
client.resetCommandQueue = function (this: Client) {
  resetCommandQueue.call(this);
  // Called by the constructor, then with each new connection, before anything is read.
  const { stream } = this;
  stream?.on("data", () => {
    if (stream.bytesRead - (wholeAt.get(stream) ?? 0) > MAX_REPLY_BYTES)
      end(this as ConnectedClient, new Error("its reply does not end"));
  });
};

export { Redis };
