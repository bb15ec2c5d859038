import { connect, type Socket } from "node:net";
import { eventually } from "./assistant.ts";

/** A client that shows every byte, for what a HTTP library would hide. */
export interface RawClient {
  readonly socket: Socket;
  readonly received: () => Buffer;
  /** Bytes received. */
  readonly size: () => number;
  readonly ended: () => boolean;
  send(text: string): void;
  /** Everything received once `pattern` is in it. */
  until(pattern: RegExp | string): Promise<string>;
  /** Everything received once the gateway has closed the connection. */
  untilClosed(): Promise<string>;
}

export async function rawClient(port: number): Promise<RawClient> {
  const parts: Buffer[] = [];
  let ended = false;
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  await new Promise((resolve, reject) => socket.once("connect", resolve).once("error", reject));
  let size = 0;
  socket.on("data", (bytes: Buffer) => {
    parts.push(bytes);
    size += bytes.length;
  });
  socket.on("error", () => {});
  for (const event of ["end", "close"]) {
    socket.on(event, () => {
      ended = true;
    });
  }
  const received = (): Buffer => Buffer.concat(parts);
  const text = (): string => received().toString("utf8");
  const has = (pattern: RegExp | string): boolean =>
    typeof pattern === "string" ? text().includes(pattern) : pattern.test(text());
  return {
    socket,
    received,
    size: () => size,
    ended: () => ended,
    send: (bytes) => void socket.write(bytes),
    until: (pattern) =>
      eventually(
        `the answer holds ${String(pattern)}; it is ${JSON.stringify(text().slice(-400))}`,
        () => has(pattern) && text(),
        5_000,
      ),
    untilClosed: () =>
      eventually(`the connection ends; received ${JSON.stringify(text().slice(-400))}`, () => ended && text(), 5_000),
  };
}

/** A POST with a JSON body, written by hand. */
export function postBytes(
  path: string,
  body: unknown,
  options: { version?: string; headers?: Record<string, string> } = {},
): string {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  const headers = Object.entries({
    host: "127.0.0.1",
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(text)),
    ...options.headers,
  });
  return `POST ${path} HTTP/${options.version ?? "1.1"}\r\n${headers.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${text}`;
}

/** What follows the head of an answer. */
export const bodyOf = (answer: string): string => answer.slice(answer.indexOf("\r\n\r\n") + 4);
