import { PassThrough } from "node:stream";
import type { ForwardRequest, ForwardResponse } from "../../src/api/assistant-service.ts";
import type { NodeChannel } from "../../src/upstreams/node/channel.ts";

/** A call to a machine that exists on paper: a test says what comes. */
export interface ScriptedCall {
  readonly request: ForwardRequest;
  readonly cancelled: () => boolean;
  readonly paused: () => boolean;
  head(status: number, headers: Readonly<Record<string, string>>): void;
  body(text: string): void;
  /** One message with head and body. */
  both(status: number, headers: Readonly<Record<string, string>>, text: string): void;
  end(): void;
  /** Ends the call with a gRPC status. */
  fail(code: number, details: string): void;
}

/** A channel whose calls a test answers. */
export class ScriptedChannel implements NodeChannel {
  readonly calls: ScriptedCall[] = [];
  /** Thrown by the next `forward`, as a channel that was closed does. */
  refuse: Error | null = null;

  info(): ReturnType<NodeChannel["info"]> {
    return Promise.reject(new Error("nobody asks for this here"));
  }
  close(): void {}

  forward(request: ForwardRequest): ReturnType<NodeChannel["forward"]> {
    if (this.refuse !== null) throw this.refuse;
    const stream = new PassThrough({ objectMode: true });
    let cancelled = false;
    const message = (status: number, headers: ForwardResponse["headers"], text: string): void =>
      void stream.write({ status, headers, body: Buffer.from(text) } satisfies ForwardResponse);
    const fail = (code: number, details: string): void => {
      stream.emit("error", Object.assign(new Error(details), { code, details, metadata: { get: () => [] } }));
      stream.push(null);
    };
    const cancel = (): void => {
      if (cancelled || stream.readableEnded) return;
      cancelled = true;
      fail(1, "Cancelled on client");
    };
    this.calls.push({
      request,
      cancelled: () => cancelled,
      paused: () => stream.isPaused(),
      head: (status, headers) => message(status, headers, ""),
      body: (text) => message(0, {}, text),
      both: message,
      end: () => void stream.end(),
      fail,
    });
    return Object.assign(stream, { cancel }) as unknown as ReturnType<NodeChannel["forward"]>;
  }
}

/** Streams hand their data on in later turns of the event loop. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
