import { chmod, rm } from "node:fs/promises";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AssistantError } from "../core/errors.ts";
import type { NodeChannel } from "./channel.ts";
import { failureOf } from "./failure.ts";

export interface BridgeOptions {
  readonly node: string;
  readonly socketPath: string;
  readonly channel: NodeChannel;
  /** A call has brought its first bytes, this long after it began. */
  onFirstByte(ms: number): void;
  /** A call is over; `failure` is what gRPC said where it did not end well, null too where its caller left. */
  onEnd(failure: unknown): void;
}

/**
 * A Unix socket that answers HTTP as another machine does: what is sent here is forwarded over gRPC, and the answer's
 * bytes come back as they arrive. To the gateway another machine is so one more endpoint. Closing a connection cancels
 * the work there; a reader that is slower than the machine slows it down.
 */
export class Bridge {
  readonly #options: BridgeOptions;
  readonly #server: Server;
  #inFlight = 0;

  constructor(options: BridgeOptions) {
    this.#options = options;
    this.#server = createServer({ requestTimeout: 0, keepAliveTimeout: 30_000 }, (request, response) => void this.#serve(request, response));
  }

  /** Requests that the machine works on for us. */
  get inFlight(): number {
    return this.#inFlight;
  }

  async open(): Promise<void> {
    const { socketPath } = this.#options;
    // The daemon's lock is ours: a socket that lies there belongs to nobody.
    await rm(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject).listen(socketPath, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    await chmod(socketPath, 0o600);
  }

  /** Takes nothing new; resolves when what runs has ended, or with `now` ends it. */
  async close(options: { readonly now: boolean }): Promise<void> {
    await new Promise<void>((resolve) => {
      // Removes the socket too.
      this.#server.close(() => resolve());
      if (options.now) this.#server.closeAllConnections();
      else this.#server.closeIdleConnections();
    });
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    try {
      for await (const part of request) parts.push(part as Buffer);
    } catch {
      return;
    }
    if (!response.destroyed) this.#forward(request, Buffer.concat(parts), response);
  }

  #forward(request: IncomingMessage, body: Buffer, response: ServerResponse): void {
    const { channel, node, onFirstByte, onEnd } = this.#options;
    const begun = performance.now();
    const call = channel.forward({ path: request.url ?? "/", method: request.method ?? "POST", body, headers: passedOn(request.headers) });
    let failure: unknown = null;
    let measured = false;
    this.#inFlight += 1;
    response.once("close", () => {
      this.#inFlight -= 1;
      // Does nothing where the call has ended; else this is the client's leaving.
      call.cancel();
      onEnd(failure);
    });
    call.on("data", ({ status, headers, body: bytes }) => {
      if (!response.headersSent) response.writeHead(status, usable(headers));
      if (bytes.length === 0) return;
      if (!measured) onFirstByte(performance.now() - begun);
      measured = true;
      if (response.write(bytes)) return;
      call.pause();
      response.once("drain", () => call.resume());
    });
    call.on("error", (error) => {
      if (response.destroyed) return;
      failure = error;
      if (response.headersSent) response.destroy();
      else refuse(response, failureOf(node, error));
    });
    // Comes after `error` where there was one.
    call.on("end", () => {
      if (failure !== null || response.destroyed) return;
      if (response.headersSent) response.end();
      else refuse(response, failureOf(node, new Error("it sent no answer")));
    });
  }
}

/** The body that the gateway reads as an error of the catalogue. */
function refuse(response: ServerResponse, error: AssistantError): void {
  const body = JSON.stringify({
    error: { message: error.message, type: error.type, param: error.param, code: error.code, remedy: error.remedy, retry_after_s: error.retryAfterS },
  });
  response.writeHead(error.status, { "content-type": "application/json", "content-length": Buffer.byteLength(body) });
  response.end(body);
}

// About the connection between two hops, not about the request.
const HOP_BY_HOP = new Set([
  "connection",
  "keep-alive",
  "transfer-encoding",
  "te",
  "trailer",
  "upgrade",
  "host",
  "expect",
  "proxy-connection",
  "content-length",
]);

function passedOn(headers: IncomingHttpHeaders): Record<string, string> {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) if (typeof value === "string" && !HOP_BY_HOP.has(name)) passed[name] = value;
  return passed;
}

/** A stated length stays: it is how the gateway tells a whole answer from a broken one. */
function usable(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name === "content-length" || !HOP_BY_HOP.has(name.toLowerCase())));
}
