import type { ServerResponse } from "node:http";
import { frameChunk, LAST_CHUNK } from "./chunked.ts";

/** `raw`: chunks are framed by the engine or by us. `plain`: node frames, or for HTTP/1.0 the connection's end does. */
export type ClientFraming = "raw" | "plain" | { readonly bytes: number };

const ONE_PIECE_BYTES = 16 * 1024;

/**
 * The client's side of a relayed answer. Node's own response object keeps the books of keep-alive and pipelining; once
 * its head is out, bytes go straight to the socket, which spares two layers for every token.
 */
export class ClientStream {
  readonly #response: ServerResponse;
  readonly #headers: readonly string[];
  #framing: ClientFraming | null = null;
  #written = false;

  /** `headers`: name, value, name, value, … for whichever head is sent. */
  constructor(response: ServerResponse, headers: readonly string[]) {
    this.#response = response;
    this.#headers = headers;
  }

  get headSent(): boolean {
    return this.#framing !== null;
  }
  /** Without chunked encoding the end of the connection is the end of the answer. */
  get isHttp10(): boolean {
    return !this.#response.useChunkedEncodingByDefault;
  }

  /** The status line goes out with the first write. Later calls do nothing: there is one head. */
  begin(status: number, headers: readonly string[], framing: ClientFraming): void {
    if (this.#framing !== null) return;
    this.#framing = framing;
    const all = headers.concat(this.#headers);
    if (framing === "raw") all.push("Transfer-Encoding", "chunked");
    else if (framing !== "plain") all.push("Content-Length", String(framing.bytes));
    this.#response.writeHead(status, all);
    // Declared, so that node keeps the connection alive after it, but written by us.
    if (framing === "raw") this.#response.chunkedEncoding = false;
  }

  /** Sends bytes that are framed already. False: wait for `onDrain`. */
  write(bytes: Buffer): boolean {
    const response = this.#response;
    const { socket } = response;
    // The head goes out through node; so does everything while the answer queues behind an earlier, pipelined one.
    if (!this.#written || socket === null || this.#framing === "plain" || response.writableLength !== socket.writableLength) {
      this.#written = true;
      return response.write(bytes);
    }
    return socket.write(bytes);
  }

  /** Sends a piece of the body, framing it where that is our part. */
  payload(bytes: Buffer): boolean {
    return this.write(this.#framing === "raw" ? frameChunk(bytes) : bytes);
  }

  /** Calls back once when what was written has gone out. */
  onDrain(callback: () => void): void {
    const { socket } = this.#response;
    if (this.#response.writableNeedDrain) this.#response.once("drain", callback);
    else if (socket?.writableNeedDrain) socket.once("drain", callback);
    else setImmediate(callback);
  }

  /** The answer is complete; `last` are its last bytes, framed already. */
  end(last?: Buffer): void {
    if (last === undefined) this.#response.end();
    // A short answer that is seen whole leaves with its head in one string, which node writes in one piece.
    else if (!this.#written && last.length < ONE_PIECE_BYTES) this.#response.end(last.toString("latin1"), "latin1");
    else this.#response.end(last);
  }

  /** Ends a body whose last chunk no engine has sent. */
  endPayload(last?: Buffer): void {
    if (last !== undefined) this.payload(last);
    this.end(this.#framing === "raw" ? LAST_CHUNK : undefined);
  }

  /** Ends a body that is not what the client asked for: nothing else may follow on the connection. */
  endBroken(last: Buffer): void {
    const { socket } = this.#response;
    this.endPayload(last);
    socket?.destroySoon();
  }

  /** Breaks the connection, which tells the client that the answer is not complete. */
  destroy(): void {
    this.#response.destroy();
  }
}
