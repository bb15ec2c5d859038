import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import type { ForwardRequest, ForwardResponse, LoadedService, Sent } from "../../api/assistant-service.ts";
import { AssistantError } from "../../core/errors.ts";
import type { AnswerSink } from "../../core/inference.ts";
import { waitingComment } from "../../inference/waiting.ts";
import type { Door } from "../front/door.ts";
import { failureStatus, isFailure } from "./status.ts";

/** Where the parts of an answer go: one message, or a stream of them. Ends with `end` or `fail`, once. */
export interface Reply {
  head(status: number, headers: Readonly<Record<string, string>>): void;
  /** False: wait for `onDrain`. */
  body(bytes: Buffer): boolean;
  onDrain(callback: () => void): void;
  end(): void;
  fail(error: AssistantError): void;
}

/** Longest part of a body in one message: receivers limit the length of messages. */
const PART_BYTES = 2 ** 20;

/** A caller that has disconnected is sent nothing: the library has ended its call already. */
export function streamReply(
  grpc: LoadedService["grpc"],
  call: ServerWritableStream<ForwardRequest, Sent<ForwardResponse>>,
): Reply {
  return {
    head: (status, headers) => void call.write({ status, headers }),
    // A reader that is slower than the model slows it down, as over HTTP.
    body: (bytes) => {
      let flowing = true;
      for (let at = 0; at < bytes.length; at += PART_BYTES)
        flowing = call.write({ body: bytes.subarray(at, at + PART_BYTES) });
      return flowing;
    },
    onDrain: (callback) => void call.once("drain", callback),
    end: () => call.end(),
    fail: (error) => void (call.cancelled || call.emit("error", failureStatus(grpc, error))),
  };
}

export function wholeReply(
  grpc: LoadedService["grpc"],
  call: ServerUnaryCall<ForwardRequest, Sent<ForwardResponse>>,
  callback: sendUnaryData<Sent<ForwardResponse>>,
): Reply {
  const parts: Buffer[] = [];
  let head: { readonly status: number; readonly headers: Readonly<Record<string, string>> } | null = null;
  return {
    head: (status, headers) => {
      head = { status, headers };
    },
    body: (bytes) => parts.push(bytes) > 0,
    onDrain: (resume) => resume(),
    end: () => callback(null, { ...head, body: Buffer.concat(parts) }),
    fail: (error) => void (call.cancelled || callback(failureStatus(grpc, error))),
  };
}

export interface GrpcSinkOptions {
  readonly reply: Reply;
  readonly door: Pick<Door, "errorBody" | "errorEvent">;
  readonly requestId: string;
  readonly streamed: boolean;
}

/** A gRPC caller as the sink of an answer. */
export class GrpcSink implements AnswerSink {
  readonly #options: GrpcSinkOptions;
  readonly takesFramed = false;
  readonly waiting?: NonNullable<AnswerSink["waiting"]>;
  #status: number | null = null;

  constructor(options: GrpcSinkOptions) {
    this.#options = options;
    if (!options.streamed) return;
    this.waiting = (wait, headers) => {
      this.head(200, ["content-type", "text/event-stream", ...headers]);
      this.chunk(Buffer.from(waitingComment(wait)));
    };
  }

  get status(): number | null {
    return this.#status;
  }

  head(status: number, headers: readonly string[], length?: number): void {
    if (this.#status !== null) return;
    this.#status = status;
    const map: Record<string, string> = { "x-request-id": this.#options.requestId };
    for (let index = 0; index < headers.length; index += 2)
      map[(headers[index] as string).toLowerCase()] = headers[index + 1] as string;
    if (length !== undefined) map["content-length"] = String(length);
    this.#options.reply.head(status, map);
  }

  chunk(payload: Buffer): boolean {
    return this.#options.reply.body(payload);
  }
  framed(): boolean {
    throw new Error("a gRPC caller takes no chunk framing");
  }
  onDrain(callback: () => void): void {
    this.#options.reply.onDrain(callback);
  }

  end(last?: Buffer): void {
    if (last !== undefined) this.chunk(last);
    this.#options.reply.end();
  }
  endFramed(): void {
    throw new Error("a gRPC caller takes no chunk framing");
  }

  /**
   * What a model or a route refuses is an answer like any other; what the daemon refuses, or fails at, is a gRPC
   * status.
   */
  fail(error: AssistantError, headers: readonly string[], betweenEvents: boolean): void {
    const { reply, door, requestId, streamed } = this.#options;
    if (this.#status === null) {
      if (isFailure(error.status)) {
        this.#status = error.status;
        reply.fail(error);
        return;
      }
      const body = Buffer.from(JSON.stringify(door.errorBody(error, requestId)));
      this.head(error.status, ["content-type", "application/json; charset=utf-8", ...headers], body.length);
      this.end(body);
    } else if (streamed && betweenEvents) this.end(door.errorEvent(error, requestId));
    else
      reply.fail(
        new AssistantError("engine_lost", "The answer broke off.", { remedy: "Send the request again.", cause: error }),
      );
  }

  abort(): void {}
}
