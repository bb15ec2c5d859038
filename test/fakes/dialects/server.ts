import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as the provider got it. */
export interface ProviderRequest {
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  /** Parsed; empty where there was none. */
  readonly body: Record<string, unknown>;
}

/** What is done with one request. */
export type ProviderScript = (response: ServerResponse, request: ProviderRequest) => void;

/** A provider's service on this machine, which plays what a test gives it. */
export interface ProviderServer extends AsyncDisposable {
  readonly url: string;
  readonly requests: ProviderRequest[];
  /** Resolves once a client has broken a request off. */
  readonly brokenOff: Promise<void>;
  script: ProviderScript;
}

export async function providerServer(script: ProviderScript): Promise<ProviderServer> {
  const { promise: brokenOff, resolve } = Promise.withResolvers<void>();
  const http = createServer((request, response) => {
    const parts: Buffer[] = [];
    response.on("close", () => {
      if (!response.writableFinished) resolve();
    });
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const text = Buffer.concat(parts).toString();
      const body = (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
      const seen = { path: request.url ?? "", headers: request.headers, body };
      server.requests.push(seen);
      server.script(response, seen);
    });
  });
  await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
  const server: ProviderServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    requests: [],
    brokenOff,
    script,
    async [Symbol.asyncDispose]() {
      http.closeAllConnections();
      await new Promise((closed) => http.close(closed));
    },
  };
  return server;
}

/** Plays the recorded bytes of a stream, whole. */
export const plays =
  (wire: string, headers: Readonly<Record<string, string>> = {}): ProviderScript =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", ...headers });
    response.end(wire);
  };

/** Plays the beginning of a stream, and then nothing more. */
export const stallsAfter =
  (wire: string): ProviderScript =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.write(wire);
  };

/** Plays the beginning of a stream, and cuts the connection. */
export const breaksAfter =
  (wire: string): ProviderScript =>
  (response) => {
    response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8" });
    response.write(wire, () => response.destroy());
  };

/** Answers in one piece. */
export const answers =
  (status: number, body: string, headers: Readonly<Record<string, string>> = {}): ProviderScript =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers });
    response.end(body);
  };

/** Sends 96 MiB of an answer in one piece, unless the client disconnects before. */
export const overflows =
  (status: number): ProviderScript =>
  (response) => {
    response.writeHead(status, { "content-type": "application/json" });
    const part = Buffer.alloc(2 ** 20, " ");
    let left = 96;
    const send = (): void => {
      while (left-- > 0) if (!response.write(part)) return void response.once("drain", send);
      response.end("{}");
    };
    send();
  };
