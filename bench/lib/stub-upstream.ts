/**
 * An upstream that costs next to nothing: a raw socket server that answers a chat request with bytes made in advance,
 * whole, or as an SSE stream of `chunks` events every `everyMs`. Listens on a Unix socket (for the arms) and on TCP
 * (for the direct baseline). Tells its parent when it is ready. Called with llama-server's flags it is an engine that a
 * daemon can start: idle whenever it is asked. Every event of a stream is another one, so that a lost or moved one
 * shows.
 */
import { createServer, type Socket } from "node:net";

const settings = readSettings(process.argv.slice(2));

interface Settings {
  readonly socketPath: string;
  /** On TCP; 0: any that is free. */
  readonly port: number;
  readonly chunks: number;
  readonly everyMs: number;
  readonly slots: number;
}

function readSettings(argv: readonly string[]): Settings {
  const value = (flag: string): string | undefined => argv[argv.indexOf(flag) + 1];
  if (!argv.includes("--host")) return { port: 0, slots: 0, ...JSON.parse(argv[0] ?? "{}") };
  return { socketPath: value("--host") ?? "", port: 0, slots: Number(value("--parallel")), chunks: 200, everyMs: 10 };
}

const common =
  '"created":1700000000,"id":"chatcmpl-0123456789abcdef0123456789abcdef","model":"stub","system_fingerprint":"b1-stub"';
const timings = '"timings":{"cache_n":12,"prompt_n":20,"prompt_ms":198.3,"predicted_n":200,"predicted_ms":2000.1}';
const usage =
  '"usage":{"completion_tokens":200,"prompt_tokens":32,"total_tokens":232,"prompt_tokens_details":{"cached_tokens":12}}';
const whole = `{"choices":[{"finish_reason":"length","index":0,"message":{"role":"assistant","content":"Hello! How"}}],${common},"object":"chat.completion",${usage},${timings}}`;
const events = Array.from({ length: settings.chunks }, (_, index) => {
  const content = ` ${String(index).padStart(5, "0")}`;
  return chunk(
    `data: {"choices":[{"finish_reason":null,"index":0,"delta":{"content":"${content}"}}],${common},"object":"chat.completion.chunk"}\n\n`,
  );
});
const lastEvent = chunk(
  `data: {"choices":[{"finish_reason":"length","index":0,"delta":{}}],${common},"object":"chat.completion.chunk",${timings}}\n\n`,
);
const ending = Buffer.concat([lastEvent, chunk("data: [DONE]\n\n"), Buffer.from("0\r\n\r\n")]);

function chunk(text: string): Buffer {
  return Buffer.from(`${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`);
}

const head = (lines: string, close: boolean): string =>
  `HTTP/1.1 200 OK\r\nServer: stub\r\n${lines}\r\nConnection: ${close ? "close" : "keep-alive"}\r\n\r\n`;
const wholeAnswer = (close: boolean): Buffer =>
  Buffer.from(head(`Content-Type: application/json; charset=utf-8\r\nContent-Length: ${whole.length}`, close) + whole);
const answers = { close: wholeAnswer(true), keep: wholeAnswer(false) };
const streamHead = (close: boolean): Buffer =>
  Buffer.from(head("Content-Type: text/event-stream\r\nTransfer-Encoding: chunked", close));

function serve(socket: Socket): void {
  let seen = "";
  socket.setNoDelay(true);
  socket.on("error", () => socket.destroy());
  socket.on("data", (bytes: Buffer) => {
    seen += bytes.toString("latin1");
    for (;;) {
      const end = seen.indexOf("\r\n\r\n");
      if (end < 0) return;
      const length = lengthOfBody(seen, end);
      if (length === null || seen.length < end + 4 + length) return;
      const request = seen.slice(0, end + 4 + length);
      if (request.startsWith("GET ")) {
        seen = seen.slice(end + 4 + length);
        look(socket, request.slice(4, request.indexOf(" ", 4)));
        continue;
      }
      seen = seen.slice(end + 4 + length);
      answer(socket, /connection: *close/i.test(request.slice(0, end)), /"stream": ?true/.test(request));
    }
  });
}

/**
 * Of the body after a head that ends at `end`; null while that cannot be known. Some proxies send what they read on in
 * chunks.
 */
function lengthOfBody(seen: string, end: number): number | null {
  const head = seen.slice(0, end);
  const length = /content-length: *(\d+)/i.exec(head)?.[1];
  if (length !== undefined) return Number(length);
  if (!/transfer-encoding: *chunked/i.test(head)) return 0;
  // A line break within JSON text is escaped, so this is the last chunk.
  const last = seen.indexOf("\r\n0\r\n\r\n", end);
  return last < 0 ? null : last + 7 - (end + 4);
}

/** What a fleet, or a proxy that looks for models, asks an engine. */
function look(socket: Socket, path: string): void {
  const slots = Array.from({ length: settings.slots }, (_, id) => ({ id, is_processing: false }));
  const models = { object: "list", data: [{ id: "stub", object: "model", created: 1_700_000_000, owned_by: "stub" }] };
  const body = JSON.stringify(path === "/slots" ? slots : path === "/v1/models" ? models : { status: "ok" });
  socket.end(Buffer.from(head(`Content-Type: application/json\r\nContent-Length: ${body.length}`, true) + body));
}

function answer(socket: Socket, close: boolean, streamed: boolean): void {
  if (streamed) stream(socket, close);
  else if (close) socket.end(answers.close);
  else socket.write(answers.keep);
}

function stream(socket: Socket, close: boolean): void {
  let sent = 0;
  socket.write(streamHead(close));
  const timer = setInterval(() => {
    const event = socket.destroyed ? undefined : events[sent++];
    if (event !== undefined) {
      socket.write(event);
      return;
    }
    clearInterval(timer);
    if (close) socket.end(ending);
    else if (!socket.destroyed) socket.write(ending);
  }, settings.everyMs);
}

const onPath = createServer(serve).listen(settings.socketPath, () => {
  const onPort = createServer(serve).listen(settings.port, "127.0.0.1", () => {
    const address = onPort.address();
    process.send?.({ port: typeof address === "object" ? address?.port : 0 });
  });
});
process.on("disconnect", () => process.exit(0));
process.on("message", (message) => {
  if (message === "usage")
    process.send?.({
      cpuMs: (process.cpuUsage().user + process.cpuUsage().system) / 1000,
      rssBytes: process.memoryUsage.rss(),
    });
});
onPath.on("error", (error) => {
  throw error;
});
