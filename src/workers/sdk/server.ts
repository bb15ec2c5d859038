import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { AssistantError } from "../../core/errors.ts";
import { parseWorkerInput, WORKER_FAILED } from "../../core/worker.ts";
import type { Layout } from "./layout.ts";
import type { WorkerLog } from "./log.ts";
import type { WorkerMetrics } from "./metrics.ts";
import type { ChatRecord } from "./records.ts";
import { listenHost, type WorkerSettings } from "./settings.ts";

const MAX_BODY_BYTES = 64 * 2 ** 20;
/** Polled every few seconds by monitors: they would fill the log. */
const QUIET: ReadonlySet<string> = new Set(["/", "/health", "/metrics"]);

export interface WorkerServerOptions {
  readonly settings: WorkerSettings;
  readonly layout: Layout;
  readonly metrics: WorkerMetrics;
  readonly log: WorkerLog;
  readonly version: string;
}

/** The HTTP surface of a worker: its endpoint, `/health`, `/metrics`. */
export class WorkerServer {
  readonly #options: WorkerServerOptions;
  readonly #server: Server;
  readonly #running = new Set<AbortController>();
  #draining = false;

  constructor(options: WorkerServerOptions) {
    this.#options = options;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        options.log.error(`A request failed: ${(error as Error).stack}`);
        response.destroy();
      });
    });
  }

  /** Resolves with the port. Rejects with `address_in_use`. */
  async listen(): Promise<number> {
    const { settings } = this.#options;
    this.#server.listen(settings.port, listenHost(settings));
    await once(this.#server, "listening").catch((cause: unknown) => {
      throw new AssistantError("address_in_use", `The worker cannot listen on port ${settings.port}.`, {
        remedy: "Choose another PORT, or omit it: the system picks a free one.",
        cause,
      });
    });
    return (this.#server.address() as AddressInfo).port;
  }

  /** Takes no new requests, and resolves when the running ones have ended, or were ended after the time they have. */
  async drain(): Promise<void> {
    this.#draining = true;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeIdleConnections();
    const late = setTimeout(() => {
      this.#abortAll();
      this.#server.closeAllConnections();
    }, this.#options.settings.drainTimeoutS * 1000);
    await closed;
    clearTimeout(late);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { settings, metrics, version } = this.#options;
    const path = (request.url ?? "/").split("?")[0] ?? "/";
    const { method = "GET" } = request;
    this.#logEnd(method, path, response);
    if (this.#draining) response.shouldKeepAlive = false;
    if (path === "/health") return void response.writeHead(this.#draining ? 503 : 204).end();
    if (path === "/metrics") {
      const text = await metrics.text();
      return void response.writeHead(200, { "content-type": metrics.contentType }).end(text);
    }
    if (path === "/") return json(response, 200, { name: settings.llmName, version });
    if (path === `${settings.endpoint.replace(/\/$/, "")}/abort`) {
      this.#abortAll();
      return void response.writeHead(204).end();
    }
    if (path !== settings.endpoint) return json(response, 404, { message: `No such path: ${path}` });
    if (method !== "POST") return json(response, 405, { message: "Use POST." });
    await this.#answer(request, response);
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { settings, metrics } = this.#options;
    metrics.received.inc();
    const refuse = (status: number, message: string): void => {
      metrics.rejected.inc();
      json(response, status, { message });
    };
    if (this.#running.size >= settings.slots || this.#draining) return refuse(503, "Processing another request");
    const controller = new AbortController();
    // Taken before the body is read: two requests must not both find the place free.
    this.#running.add(controller);
    metrics.busy(true);
    response.on("close", () => controller.abort());
    try {
      const history = historyOf(await bodyOf(request));
      if (history === null) return refuse(400, "Bad request");
      if ((history.at(-1)?.msg ?? "") === "") return refuse(400, "I didn't see your input!");
      metrics.accepted.inc();
      await this.#stream(history, response, controller.signal);
    } finally {
      this.#running.delete(controller);
      metrics.busy(this.#running.size > 0);
    }
  }

  async #stream(history: readonly ChatRecord[], response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { layout, metrics, log } = this.#options;
    const begunAt = performance.now();
    let characters = 0;
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    response.flushHeaders();
    try {
      for await (const piece of layout.run(history, { signal })) {
        if (signal.aborted) break;
        for (const _ of piece) characters += 1;
        if (!response.write(piece)) await once(response, "drain", { signal });
      }
    } catch (error) {
      if (!signal.aborted) {
        metrics.failed.inc();
        log.error(`The layout failed: ${(error as Error).stack ?? String(error)}`);
        response.write(WORKER_FAILED);
      }
    }
    response.end();
    metrics.processed((performance.now() - begunAt) / 1000, characters);
  }

  #abortAll(): void {
    for (const controller of this.#running) controller.abort();
  }

  #logEnd(method: string, path: string, response: ServerResponse): void {
    const { log } = this.#options;
    const begunAt = performance.now();
    response.on("close", () => {
      const ms = Math.round(performance.now() - begunAt);
      if (!QUIET.has(path)) log.info(`${method} ${path} ${response.statusCode} ${ms} ms`);
    });
  }
}

function json(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
}

/** Null for what is longer than a body may be. */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of request as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > MAX_BODY_BYTES) return null;
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

/** Null for what is no form with a history. */
function historyOf(body: string | null): ChatRecord[] | null {
  const input = body === null ? null : new URLSearchParams(body).get("input");
  const messages = input === null ? null : parseWorkerInput(input);
  return messages?.map(({ isbot, msg, role }) => ({ role: isbot ? "bot" : (role ?? "user"), msg })) ?? null;
}
