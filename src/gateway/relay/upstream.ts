import { connect, type Socket } from "node:net";
import { type EngineHead, parseHead } from "./head.ts";

/** How far a call had come when its connection ended. */
export type CallPhase = "connect" | "head" | "body";

export interface UpstreamEvents {
  /** Once, before any byte of the body. */
  onHead(head: EngineHead): void;
  /** Bytes of the body, framing included; the receiver may keep them. False pauses reading until `resume`. */
  onBody(bytes: Buffer): boolean;
  /** Once, unless `destroy` came first. `failure` is null where the engine closed the connection in good order. */
  onEnd(failure: Error | null, phase: CallPhase): void;
}

// All upstream sockets read into one buffer: a read and its callback are one step of the event loop on Unix, and what
// the callback keeps it copies. A buffer of its own for every read costs several times the copy of a few hundred bytes.
const readBuffer = Buffer.allocUnsafeSlow(64 * 1024);

/**
 * One POST to an engine over a connection of its own: a kept-alive one may be stale, and a request that an engine
 * may have begun must not be sent twice.
 */
export class UpstreamCall {
  readonly #socket: Socket;
  readonly #events: UpstreamEvents;
  #phase: CallPhase = "connect";
  #headBytes: Buffer | null = null;
  #over = false;

  constructor(socketPath: string, request: Buffer, events: UpstreamEvents) {
    this.#events = events;
    this.#socket = connect({
      path: socketPath,
      onread: { buffer: readBuffer, callback: (count) => this.#read(Buffer.from(readBuffer.subarray(0, count))) },
    });
    this.#socket.once("connect", () => {
      this.#phase = "head";
    });
    this.#socket.once("end", () => this.#end(null));
    this.#socket.once("error", (error) => this.#end(error));
    this.#socket.once("close", () => this.#end(null));
    this.#socket.write(request);
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Closes the connection, which the engine takes as the order to stop. No event follows. */
  destroy(): void {
    this.#over = true;
    this.#socket.destroy();
  }

  #read(bytes: Buffer): boolean {
    if (this.#over) return true;
    if (this.#phase === "body") return this.#events.onBody(bytes);
    const seen = this.#headBytes === null ? bytes : Buffer.concat([this.#headBytes, bytes]);
    try {
      const parsed = parseHead(seen);
      if (parsed === null) {
        this.#headBytes = seen;
        return true;
      }
      this.#headBytes = null;
      this.#phase = "body";
      this.#events.onHead(parsed.head);
      if (this.#over || parsed.bodyStart === seen.length) return true;
      return this.#events.onBody(seen.subarray(parsed.bodyStart));
    } catch (error) {
      this.#end(error as Error);
      return true;
    }
  }

  #end(failure: Error | null): void {
    if (this.#over) return;
    this.#over = true;
    this.#socket.destroy();
    this.#events.onEnd(failure, this.#phase);
  }
}

const requestHeads = new Map<string, Buffer>();

/** The bytes of a whole POST with a JSON body. */
export function encodePost(path: string, body: Buffer): Buffer {
  let head = requestHeads.get(path);
  if (head === undefined) {
    head = Buffer.from(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: `, "latin1");
    requestHeads.set(path, head);
  }
  return Buffer.concat([head, Buffer.from(`${body.length}\r\n\r\n`, "latin1"), body]);
}
