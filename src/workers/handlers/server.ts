import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";
import { decodeMessage, encodeBinary, encodeJson, HEADER_LENGTH, type TensorMap, tensorsOf } from "./tensors.ts";
import {
  type HandlerContext,
  HandlerRequest,
  type HandlerStream,
  type Registered,
  type WorkerApp,
} from "./worker-app.ts";

export interface ServerOptions {
  readonly app: WorkerApp;
  readonly host: string;
  readonly port: number;
  /** Without `signal` and `capability`, which a request brings. */
  readonly context: Omit<HandlerContext, "signal" | "capability">;
  /** Whether `onStart` of all workers has resolved. */
  readonly isReady: () => boolean;
}

/** What is wrong with a request, as the protocol says it. */
class Refused extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Serves an app over the Open Inference Protocol. Resolves with the server and its port. */
export async function serveApp(options: ServerOptions): Promise<{ readonly server: Server; readonly port: number }> {
  const server = createServer((request, response) => {
    answer(options, request, response).catch((error: unknown) => failed(response, error));
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen({ host: options.host, port: options.port }, resolve);
  await promise;
  return { server, port: (server.address() as AddressInfo).port };
}

async function answer(options: ServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { app, isReady } = options;
  const path = new URL(request.url ?? "/", "http://localhost").pathname;
  if (path === "/v2/health/live") return json(response, 200, { live: true });
  if (path === "/v2/health/ready") return json(response, isReady() ? 200 : 503, { ready: isReady() });
  if (path === "/v2")
    return json(response, 200, { name: "assistant-worker", version: "1", extensions: ["binary_tensor_data"] });
  const [, written = "", version = "", verb = ""] =
    /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(?:\/(ready|infer|infer_stream))?$/.exec(path) ?? [];
  const name = decodeURIComponent(written);
  const handler = app.find(name, decodeURIComponent(version));
  if (handler === undefined)
    throw new Refused(404, `This process has no handler ${JSON.stringify(name.slice(0, 100))}.`);
  if (verb === "ready") return json(response, isReady() ? 200 : 503, { name, ready: isReady() });
  if (verb === "")
    return json(response, 200, { name, versions: ["1"], platform: "assistant", inputs: [], outputs: [] });
  await infer(options, handler, name, verb === "infer_stream", request, response);
}

async function infer(
  { context }: ServerOptions,
  handler: Registered,
  name: string,
  isStream: boolean,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const bytes = await buffer(request);
  const message = readMessage(bytes, Number(request.headers[HEADER_LENGTH] ?? bytes.length));
  const asked = new HandlerRequest({ ...message, modelName: name });
  const { capability } = handler;
  const head = { model_name: name, model_version: "1", ...(message.id === "" ? {} : { id: message.id }) };
  const own: HandlerContext = { ...context, capability, signal: gone.signal };
  if (isStream) {
    const stream = new EventStream(response, head);
    if (handler.streams) await stream.run(async () => await handler.handle(asked, own, stream));
    else await stream.run(async () => await stream.send(await handler.handle(asked, own)));
    return;
  }
  if (handler.streams)
    throw new Refused(400, `"${name}" answers in several parts; use ModelStreamInfer, or infer_stream.`);
  const outputs = tensorsOf(await handler.handle(asked, own));
  if (message.parameters["binary_data_output"] !== true) {
    response.setHeader("content-type", "application/json");
    response.end(encodeJson(head, "outputs", outputs));
    return;
  }
  const encoded = encodeBinary(head, "outputs", outputs);
  response.writeHead(200, {
    "content-type": "application/octet-stream",
    "content-length": encoded.bytes.length,
    [HEADER_LENGTH]: encoded.headBytes,
  });
  response.end(encoded.bytes);
}

/** The parts of an answer as events. */
class EventStream implements HandlerStream {
  readonly #response: ServerResponse;
  readonly #head: Readonly<Record<string, unknown>>;
  #isClosed = false;

  constructor(response: ServerResponse, head: Readonly<Record<string, unknown>>) {
    this.#response = response;
    this.#head = head;
  }

  /** Whatever the handler throws before its first part is the answer's status; after it, the last event. */
  async run(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      if (!this.#isClosed) this.close();
    } catch (error) {
      if (!this.#response.headersSent) throw error;
      if (!this.#isClosed) this.error(textOf(error));
    }
  }

  async send(outputs: TensorMap): Promise<void> {
    this.#requireOpen();
    const flowing = this.#write(encodeJson(this.#head, "outputs", tensorsOf(outputs)));
    if (flowing || this.#response.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#response.once("drain", resolve).once("close", resolve);
    await promise;
  }

  error(message: string): void {
    this.#requireOpen();
    this.#isClosed = true;
    if (!this.#response.headersSent) {
      json(this.#response, 500, { error: message });
      return;
    }
    // The connection is broken, so that the partial response does not look complete.
    this.#write(JSON.stringify({ error: message }));
    this.#response.destroy();
  }

  close(): void {
    this.#requireOpen();
    this.#isClosed = true;
    if (!this.#response.headersSent) this.#begin();
    this.#response.end();
  }

  #requireOpen(): void {
    if (this.#isClosed) throw new Error("The stream is closed: nothing can be sent any more");
  }

  #begin(): void {
    this.#response.writeHead(200, { "content-type": "text/event-stream", "cache-control": "no-cache" });
  }

  #write(data: string): boolean {
    if (!this.#response.headersSent) this.#begin();
    return this.#response.write(`data: ${data}\n\n`);
  }
}

function readMessage(bytes: Buffer, headBytes: number): ReturnType<typeof decodeMessage> {
  try {
    return decodeMessage(bytes, headBytes, "inputs");
  } catch (error) {
    throw new Refused(400, textOf(error));
  }
}

const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A `TypeError` is about the request; anything else is the handler's own fault. */
function failed(response: ServerResponse, error: unknown): void {
  const status = error instanceof Refused ? error.status : error instanceof TypeError ? 400 : 500;
  if (status === 500) console.error(error);
  if (response.headersSent) response.destroy();
  else json(response, status, { error: textOf(error) });
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
