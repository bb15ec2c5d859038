/**
 * Load from a process of its own, over raw sockets, so that the generator costs little and measures itself. Takes
 * `LoadOrder` messages and answers each with a `LoadResult`.
 */
import { connect, type Socket } from "node:net";

export interface LoadOrder {
  readonly port: number;
  readonly key: string;
  readonly clients: number;
  /** Closed loop for this long, ms; or, streamed, one stream per client. */
  readonly durationMs: number;
  readonly streamed: boolean;
  /** Default: OpenAI's chat. The body suits other dialects of chat as well. */
  readonly path?: string;
}

export interface LoadResult {
  readonly requests: number;
  readonly seconds: number;
  /** Microseconds, sorted: of whole requests, or of the gaps between two chunks. */
  readonly latenciesUs: readonly number[];
  readonly events: number;
  readonly failures: number;
}

const messages = [
  { role: "system", content: "You are a helpful assistant. ".repeat(12) },
  { role: "user", content: "Name three rivers and say where they end. ".repeat(6) },
];

function requestBytes({ port, key, streamed, path = "/v1/chat/completions" }: LoadOrder): Buffer {
  const body = JSON.stringify({
    model: "stub",
    ...(path.endsWith("/responses") ? { input: messages, store: false } : { messages, max_tokens: 200 }),
    temperature: 0.7,
    ...(streamed ? { stream: true } : {}),
  });
  return Buffer.from(
    `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\nAuthorization: Bearer ${key}\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  );
}

async function run(order: LoadOrder): Promise<LoadResult> {
  const request = requestBytes(order);
  const latencies: number[] = [];
  let requests = 0;
  let events = 0;
  let failures = 0;
  const startedAt = performance.now();
  const endAt = startedAt + order.durationMs;
  const client = order.streamed ? streamOnce : loop;
  await Promise.all(Array.from({ length: order.clients }, () => client()));
  const seconds = (performance.now() - startedAt) / 1000;
  return { requests, seconds, latenciesUs: latencies.sort((a, b) => a - b), events, failures };

  function open(onData: (bytes: Buffer, socket: Socket) => void, done: () => void): void {
    const socket = connect({ host: "127.0.0.1", port: order.port, noDelay: true }, () => socket.write(request));
    socket.on("data", (bytes: Buffer) => onData(bytes, socket));
    socket.on("error", () => {
      failures++;
    });
    socket.on("close", done);
  }

  function loop(): Promise<void> {
    return new Promise((resolve) => {
      let sentAt = performance.now();
      let wanted = -1;
      let got = 0;
      open((bytes, socket) => {
        got += bytes.length;
        if (wanted < 0) wanted = sizeOf(bytes);
        if (wanted < 0 || got < wanted) return;
        if (bytes.length === got && !bytes.toString("latin1", 9, 12).startsWith("200")) failures++;
        const now = performance.now();
        latencies.push((now - sentAt) * 1000);
        requests++;
        got = 0;
        wanted = -1;
        if (now >= endAt) return void socket.end();
        sentAt = now;
        socket.write(request);
      }, resolve);
    });
  }

  function streamOnce(): Promise<void> {
    return new Promise((resolve) => {
      let lastAt = 0;
      let tail = "";
      open((bytes, socket) => {
        const now = performance.now();
        if (lastAt > 0) latencies.push((now - lastAt) * 1000);
        lastAt = now;
        const text = bytes.toString("latin1");
        for (let at = text.indexOf("data: "); at >= 0; at = text.indexOf("data: ", at + 6)) events++;
        tail = (tail + text).slice(-8);
        if (tail.endsWith("\r\n0\r\n\r\n")) {
          requests++;
          socket.end();
        }
      }, resolve);
    });
  }
}

/** Head and body together, or -1 while the head is incomplete. */
function sizeOf(bytes: Buffer): number {
  const end = bytes.indexOf("\r\n\r\n");
  if (end < 0) return -1;
  return end + 4 + Number(/content-length: *(\d+)/i.exec(bytes.toString("latin1", 0, end))?.[1] ?? 0);
}

process.on("message", (order: LoadOrder) => void run(order).then((result) => process.send?.(result)));
process.on("disconnect", () => process.exit(0));
process.send?.({ port: 0 });
