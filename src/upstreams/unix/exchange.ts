import type { Endpoint } from "../../core/endpoint.ts";
import type { AssistantError } from "../../core/errors.ts";
import type { Retry } from "../../core/upstream.ts";
import type { Delivery } from "../answer/delivery.ts";
import type { Receiver } from "../answer/receivers.ts";
import { Connection, keepConnection, takeConnection } from "./connection.ts";
import { type EngineHead, parseHead } from "./head.ts";

/** How far it had got when its connection ended. */
export type ExchangePhase = "connect" | "head" | "body";

export interface ExchangeEvents {
  /** Once, before any byte of the body. */
  onHead(head: EngineHead): void;
  /** Bytes of the body, including framing; the receiver may keep them. False pauses reading until `resume`. */
  onBody(bytes: Buffer): boolean;
  /** Once, unless `close` came first. `failure` is null if the engine closed the connection normally. */
  onEnd(failure: Error | null, phase: ExchangePhase): void;
}

export interface ExchangeRequest {
  readonly endpoint: Endpoint;
  /** Head and body, from `encodeRequest`. */
  readonly bytes: Buffer;
  /**
   * The connection may serve another request afterwards. Only for answers with a content length: their end is exact,
   * and connecting costs as much as all the rest of a short answer. A stream does not share its connection. Over TCP, a
   * kept connection that breaks does not tell whether the request was read, so only if it may be sent again.
   */
  readonly reusable: boolean;
}

/** Opens an exchange whose answer goes through the delivery into the receiver created for its head. */
export const openExchange = (
  request: ExchangeRequest,
  delivery: Delivery,
  receiver: (head: EngineHead) => Receiver,
): Exchange =>
  new Exchange(request, {
    onHead: (head) => delivery.head(() => receiver(head)),
    onBody: (body) => delivery.body(body),
    onEnd: (failure, phase) => {
      if (phase === "connect") delivery.unreachable(failure);
      else if (failure === null) delivery.closed();
      else delivery.broken(failure);
    },
  });

/** The call may have caused the loss of the engine, so it is retried only once. */
export const retryLost = ({ code }: AssistantError): Retry => (code === "engine_lost" ? "once" : "never");

/** One request to an engine. */
export class Exchange {
  readonly #request: ExchangeRequest;
  readonly #events: ExchangeEvents;
  #connection: Connection;
  #phase: ExchangePhase = "connect";
  #headBytes: Buffer | null = null;
  #bodyLeft = Number.NaN;
  #keepsOpen = false;
  #over = false;

  constructor(request: ExchangeRequest, events: ExchangeEvents) {
    this.#request = request;
    this.#events = events;
    this.#connection = takeConnection(request.endpoint, this.#user);
    this.#connection.write(request.bytes);
  }

  resume(): void {
    this.#connection.resume();
  }

  /**
   * No event follows. Unless the answer has been read to its exact end, the connection is closed, which the engine
   * takes as the order to stop. `isWhole`: its last chunk has been read, which only the decoder of the framing knows.
   */
  close(isWhole = false): void {
    if (this.#over) return;
    this.#over = true;
    if (this.#bodyLeft === 0 || (isWhole && this.#request.reusable && this.#keepsOpen))
      keepConnection(this.#connection);
    else this.#connection.destroy();
  }

  readonly #user = {
    read: (bytes: Buffer): boolean => this.#read(bytes),
    ended: (failure: NodeJS.ErrnoException | null): void => this.#ended(failure),
  };

  #read(bytes: Buffer): boolean {
    if (this.#over) return true;
    if (this.#phase === "body") return this.#body(bytes);
    const seen = this.#headBytes === null ? bytes : Buffer.concat([this.#headBytes, bytes]);
    this.#phase = "head";
    try {
      const parsed = parseHead(seen);
      if (parsed === null) {
        this.#headBytes = seen;
        return true;
      }
      this.#headBytes = null;
      this.#phase = "body";
      const { framing, keepsOpen } = parsed.head;
      this.#keepsOpen = keepsOpen;
      if (this.#request.reusable && keepsOpen && framing.type === "length") this.#bodyLeft = framing.bytes;
      this.#events.onHead(parsed.head);
      // Nothing follows an empty body: an engine that keeps the connection open would never end it.
      const isEmpty = framing.type === "length" && framing.bytes === 0;
      return parsed.bodyStart === seen.length && !isEmpty ? true : this.#body(seen.subarray(parsed.bodyStart));
    } catch (error) {
      this.#fail(error as Error);
      return true;
    }
  }

  #body(bytes: Buffer): boolean {
    if (this.#over) return true;
    this.#bodyLeft -= bytes.length;
    return this.#events.onBody(bytes);
  }

  #ended(failure: NodeJS.ErrnoException | null): void {
    if (this.#over) return;
    if (this.#connection.used && this.#phase === "connect" && wasNotRead(failure)) {
      this.#connection = new Connection(this.#request.endpoint, this.#user);
      this.#connection.write(this.#request.bytes);
      return;
    }
    // A request on a kept connection may have been read, and must not count as unread.
    this.#phase =
      this.#phase === "connect" && (this.#connection.connected || this.#connection.used) ? "head" : this.#phase;
    this.#fail(failure);
  }

  #fail(failure: Error | null): void {
    this.#over = true;
    this.#connection.destroy();
    this.#events.onEnd(failure, this.#phase);
  }
}

/**
 * On a Unix socket these mean that the peer closed without having read what was sent, so the kept connection was stale
 * and the request can be sent again. A normal end of the connection does not prove that.
 */
const wasNotRead = (failure: NodeJS.ErrnoException | null): boolean =>
  failure?.code === "EPIPE" || failure?.code === "ECONNRESET";

/**
 * The bytes of a complete request. `keep`: ask the engine to leave the connection open. `headers`: additional ones,
 * `name: value` each.
 */
export function encodeRequest(
  path: string,
  body: Buffer,
  keep: boolean,
  headers: readonly string[] = [],
  contentType = "application/json",
  method: "GET" | "POST" = "POST",
): Buffer {
  let head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: ${keep ? "keep-alive" : "close"}\r\n`;
  head += `Content-Length: ${body.length}\r\nContent-Type: ${contentType}\r\n`;
  for (const header of headers) head += `${header}\r\n`;
  head += "\r\n";
  const bytes = Buffer.allocUnsafe(head.length + body.length);
  bytes.write(head, "latin1");
  body.copy(bytes, head.length);
  return bytes;
}
