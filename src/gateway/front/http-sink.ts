import type { ServerResponse } from "node:http";
import type { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import type { Waiting } from "../../core/request.ts";
import { waitingComment } from "../../inference/waiting.ts";
import { frameChunk, LAST_CHUNK } from "../../upstreams/answer/chunked.ts";
import { SSE_HEADERS } from "../../upstreams/answer/receivers.ts";
import { withOthers } from "./disconnect.ts";
import type { Door } from "./door.ts";
import type { ClientPace } from "./pace.ts";
import { sendError } from "./send-error.ts";

/**
 * `raw`: chunks are framed by the engine or by us. `plain`: framed by Node, or for HTTP/1.0 by the end of the
 * connection.
 */
type ClientFraming = "raw" | "plain" | "length";

const ONE_PIECE_BYTES = 16 * 1024;

export interface HttpSinkOptions {
  readonly response: ServerResponse;
  /** Formats errors. */
  readonly door: Pick<Door, "errorBody" | "errorEvent">;
  readonly requestId: string;
  /** Headers of every response to the request: name, value, … */
  readonly headers: readonly string[];
  /** The client requested an event stream. */
  readonly streamed: boolean;
  readonly pace: Pick<ClientPace, "readMs">;
}

/**
 * An HTTP client as the sink of an answer. Node's own response object manages keep-alive and pipelining; once its head
 * is sent, bytes go straight to the socket, which saves two layers for every token.
 */
export class HttpSink implements AnswerSink {
  readonly #options: HttpSinkOptions;
  readonly #response: ServerResponse;
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  #framing: ClientFraming | null = null;
  #status: number | null = null;
  #written = false;

  constructor(options: HttpSinkOptions) {
    this.#options = options;
    this.#response = options.response;
    if (options.streamed) this.waiting = (wait, headers) => this.#comment(wait, headers);
  }

  get status(): number | null {
    return this.#status;
  }
  /** Without chunked encoding, as in HTTP/1.0, the end of the connection is the end of the answer. */
  get takesFramed(): boolean {
    return this.#framing === null ? this.#response.useChunkedEncodingByDefault : this.#framing === "raw";
  }

  head(status: number, headers: readonly string[], length?: number): void {
    if (this.#framing !== null) return;
    const all = headers.concat(this.#options.headers);
    if (length !== undefined) this.#framing = "length";
    else this.#framing = this.#response.useChunkedEncodingByDefault ? "raw" : "plain";
    if (length !== undefined) all.push("Content-Length", String(length));
    else if (this.#framing === "raw") all.push("Transfer-Encoding", "chunked");
    this.#status = status;
    this.#response.writeHead(status, all);
    // Declared, so that Node keeps the connection alive afterwards, but written by us.
    if (this.#framing === "raw") this.#response.chunkedEncoding = false;
  }

  framed(bytes: Buffer): boolean {
    const response = this.#response;
    const { socket } = response;
    // The head is sent by Node; so is everything while the answer queues behind an earlier, pipelined one.
    if (
      !this.#written ||
      socket === null ||
      this.#framing === "plain" ||
      response.writableLength !== socket.writableLength
    ) {
      this.#written = true;
      return response.write(bytes);
    }
    return socket.write(bytes);
  }

  chunk(payload: Buffer): boolean {
    return this.framed(this.#framing === "raw" ? frameChunk(payload) : payload);
  }

  onDrain(callback: () => void): void {
    const full = [this.#response, this.#response.socket].find((each) => each?.writableNeedDrain === true);
    if (full === undefined || full === null) return void setImmediate(callback);
    // The engine's slot is held up by a client that does not read.
    const tooSlow = setTimeout(() => this.abort(), this.#options.pace.readMs).unref();
    full.once("drain", () => {
      clearTimeout(tooSlow);
      callback();
    });
  }

  endFramed(last: Buffer): void {
    const response = this.#response;
    if (this.#written || last.length >= ONE_PIECE_BYTES) response.end(last);
    // A short complete answer is sent with its head in one string, which Node writes in one piece.
    else withOthers(() => response.end(last.toString("latin1"), "latin1"));
  }

  end(last?: Buffer): void {
    if (this.#framing === "raw") {
      if (last !== undefined) this.chunk(last);
      this.endFramed(LAST_CHUNK);
    } else if (last !== undefined) this.endFramed(last);
    else this.#response.end();
  }

  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    const { door, requestId, headers: always, streamed } = this.#options;
    if (this.#framing === null) {
      this.#status = error.status;
      sendError(this.#response, error, door.errorBody(error, requestId), [...always, ...headers]);
    } else if (streamed && betweenEvents) {
      const { socket } = this.#response;
      this.end(door.errorEvent(error, requestId));
      // The body is not what the client requested: nothing else may follow on the connection.
      socket?.destroySoon();
    } else this.abort();
  }

  /** Breaks the connection, which shows the client that the answer is incomplete. */
  abort(): void {
    this.#response.destroy();
  }

  /** An SSE comment. The first one sends status 200, so a later failure can only be an event. */
  #comment(wait: Waiting, headers: readonly string[]): void {
    this.head(200, ["Content-Type", "text/event-stream", ...SSE_HEADERS, ...headers]);
    this.chunk(Buffer.from(waitingComment(wait)));
  }
}
