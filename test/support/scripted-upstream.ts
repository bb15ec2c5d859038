import { createServer, type Socket } from "node:net";

/** A request as it arrived, byte for byte. */
export interface SeenRequest {
  readonly head: string;
  readonly body: string;
}

/** A peer on a Unix socket that does exactly what a test writes down, and nothing that HTTP asks for. */
export interface ScriptedUpstream extends AsyncDisposable {
  readonly socketPath: string;
  readonly requests: SeenRequest[];
  /** Connections opened, and those that the gateway has closed. */
  readonly opened: () => number;
  readonly closed: () => number;
  script: (socket: Socket, request: SeenRequest) => void;
}

export async function scriptedUpstream(
  socketPath: string,
  script: ScriptedUpstream["script"],
): Promise<ScriptedUpstream> {
  const sockets = new Set<Socket>();
  let opened = 0;
  let closed = 0;
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    opened++;
    let seen = "";
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.on("close", () => {
      closed++;
      sockets.delete(socket);
    });
    socket.on("data", (bytes: Buffer) => {
      seen += bytes.toString("latin1");
      const end = seen.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(seen)?.[1] ?? 0);
      if (seen.length < end + 4 + length) return;
      const request = {
        head: seen.slice(0, end),
        body: Buffer.from(seen.slice(end + 4, end + 4 + length), "latin1").toString("utf8"),
      };
      seen = seen.slice(end + 4 + length);
      upstream.requests.push(request);
      upstream.script(socket, request);
    });
  });
  const upstream: ScriptedUpstream = {
    socketPath,
    requests: [],
    opened: () => opened,
    closed: () => closed,
    script,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  return upstream;
}

export const chunk = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
export const LAST_CHUNK = "0\r\n\r\n";
export const sseHead =
  "HTTP/1.1 200 OK\r\nServer: scripted\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";

/** A whole answer with a stated length. */
export const jsonAnswer = (body: string, status = "200 OK", connection = "close"): string =>
  `HTTP/1.1 ${status}\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: ${connection}\r\n\r\n${body}`;

/** The data lines of a chat stream: a role chunk, one per token, the last with timings, and the end. */
export function chatEvents(tokens: readonly string[]): string[] {
  const common = '"created":1,"id":"chatcmpl-1","model":"stub","object":"chat.completion.chunk"';
  const event = (delta: string, finish = "null", rest = ""): string =>
    `data: {"choices":[{"finish_reason":${finish},"index":0,"delta":${delta}}],${common}${rest}}\n\n`;
  const timings = `,"timings":{"cache_n":5,"prompt_n":7,"prompt_ms":12.5,"predicted_n":${tokens.length},"predicted_ms":30.25}`;
  return [
    event('{"role":"assistant","content":null}'),
    ...tokens.map((token) => event(`{"content":${JSON.stringify(token)}}`)),
    event("{}", '"stop"', timings),
    "data: [DONE]\n\n",
  ];
}
